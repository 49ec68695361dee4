package server

import (
	"fmt"
	"time"

	"google.golang.org/grpc/status"

	"secrets-provider-aws/internal/fault"
	"secrets-provider-aws/internal/podevents"
)

// reasons are those of the Events, as users filter for them.
var reasons = map[changeKind]string{
	refreshFailed:      "SecretRefreshFailed",
	refreshRecovered:   "SecretRefreshRecovered",
	servedStale:        "SecretServedStale",
	servedFromFailover: "SecretServedFromFailoverRegion",
}

// report has Events written for what a mount request changed. err is the status of the request.
func (s *Server) report(line *mountLine, changes []change, reason fault.Kind, err error) {
	if s.events == nil {
		return
	}
	for _, c := range changes {
		e := podevents.Event{
			Namespace: line.volume.pod.Namespace, Pod: line.volume.pod.Name, UID: line.volume.pod.UID,
			Warning: c.what != refreshRecovered, Reason: reasons[c.what], Cause: line.volume.targetPath, // each volume of a pod has its own
		}
		switch c.what {
		case refreshFailed:
			e.Cause += " " + reason.String()
			e.Note = status.Convert(err).Message()
		case refreshRecovered:
			e.Note = fmt.Sprintf("the files are refreshed again, after %s of failures", c.failed.Round(time.Second))
		case servedStale:
			age := ""
			if oldest := line.fetched.Oldest; !oldest.IsZero() { // else all are pinned versions, which have no age
				age = fmt.Sprintf(", the oldest read %s ago", s.now().Sub(oldest).Round(time.Second))
			}
			e.Note = fmt.Sprintf("AWS failed, so the files have the last known values%s: %v", age, line.fetched.Instead)
		case servedFromFailover:
			e.Note = fmt.Sprintf("the region %s failed, so the files have the values of the failover region %s: %v", line.class.Region, line.class.FailoverRegion, line.fetched.Instead)
		}
		if class := line.volume.classRef(); class != "" && c.what != refreshFailed {
			e.Note = "SecretProviderClass " + class + ": " + e.Note
		}
		s.events.Record(e)
	}
}
