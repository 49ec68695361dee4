package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// object has the fields of API objects that the node and its tests need.
type object struct {
	Metadata struct {
		Name      string `json:"name"`
		Namespace string `json:"namespace"`
	} `json:"metadata"`
	Spec struct {
		Drivers []struct {
			Name string `json:"name"`
		} `json:"drivers"`
	} `json:"spec"`
	Status status `json:"status"`
}

type status struct {
	Phase      string `json:"phase"`
	Conditions []struct {
		Type   string `json:"type"`
		Status string `json:"status"`
	} `json:"conditions"`
	ContainerStatuses []struct {
		Name        string          `json:"name"`
		ContainerID string          `json:"containerID"`
		State       json.RawMessage `json:"state"`
	} `json:"containerStatuses"`
}

// readySince reports whether a pod is Ready and its containers started at t or later. Right after a reboot, the API still reports the
// state from before, until the kubelet updates it.
func (s status) readySince(t time.Time) bool {
	for _, c := range s.ContainerStatuses {
		var state struct {
			Running struct {
				StartedAt time.Time `json:"startedAt"`
			} `json:"running"`
		}
		if json.Unmarshal(c.State, &state) != nil || state.Running.StartedAt.Before(t) {
			return false
		}
	}
	return s.condition("Ready")
}

func (s status) condition(name string) bool {
	for _, c := range s.Conditions {
		if c.Type == name {
			return c.Status == "True"
		}
	}
	return false
}

func (o object) hasDriver(name string) bool {
	for _, d := range o.Spec.Drivers {
		if d.Name == name {
			return true
		}
	}
	return false
}

func podPath(namespace, pod string) string {
	return "/api/v1/namespaces/" + namespace + "/pods/" + pod
}

// podTimeout bounds every wait for pods. It is longer than the kubelet's two minutes for one mount. A shorter deadline of the context
// takes precedence.
const podTimeout = 5 * time.Minute

// WaitPodReady returns when the pod is Ready. An error contains its phase, its containers' states and its events.
func (n *Node) WaitPodReady(ctx context.Context, namespace, pod string) error {
	return n.waitReady(ctx, "pod "+namespace+"/"+pod, namespace, 1, func(ctx context.Context) ([]object, error) {
		var o object
		err := n.Get(ctx, podPath(namespace, pod), &o)
		return []object{o}, err
	})
}

// WaitPodsReady returns when exactly count pods have the labels ("app=web,tier=front") and all of them are Ready.
func (n *Node) WaitPodsReady(ctx context.Context, namespace, labels string, count int) error {
	return n.waitReady(ctx, fmt.Sprintf("%d pods %s/%s", count, namespace, labels), namespace, count, func(ctx context.Context) ([]object, error) {
		return n.pods(ctx, namespace, labels)
	})
}

func (n *Node) waitReady(ctx context.Context, what, namespace string, count int, list func(context.Context) ([]object, error)) error {
	var waiting []object
	err := n.Until(ctx, podTimeout, what, func(ctx context.Context) (bool, error) {
		pods, err := list(ctx)
		if err != nil {
			return false, err
		}
		waiting = slices.DeleteFunc(slices.Clone(pods), func(o object) bool { return o.Status.readySince(n.booted()) })
		if len(pods) == count && len(waiting) == 0 {
			return true, nil
		}
		return false, fmt.Errorf("%d of %d are ready, %d wanted", len(pods)-len(waiting), len(pods), count)
	})
	if err == nil {
		return nil
	}
	var why strings.Builder
	for _, o := range waiting[:min(len(waiting), 3)] {
		fmt.Fprintf(&why, "\npod %s: %s", o.Metadata.Name, o.Status.Phase)
		for _, c := range o.Status.ContainerStatuses {
			fmt.Fprintf(&why, "\n  container %s: %s", c.Name, c.State)
		}
		events, _ := n.PodEvents(context.WithoutCancel(ctx), namespace, o.Metadata.Name)
		for _, e := range events {
			fmt.Fprintf(&why, "\n  event %s", e)
		}
	}
	return fmt.Errorf("%w%s", err, why.String())
}

func (n *Node) booted() time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.record.Booted
}

// pods returns the pods with the labels, or all pods of the namespace if labels is empty.
func (n *Node) pods(ctx context.Context, namespace, labels string) ([]object, error) {
	var list struct {
		Items []object `json:"items"`
	}
	err := n.Get(ctx, "/api/v1/namespaces/"+namespace+"/pods?labelSelector="+url.QueryEscape(labels), &list)
	return list.Items, err
}

// PodNames returns the names of the pods with the labels, or of all pods of the namespace if labels is empty.
func (n *Node) PodNames(ctx context.Context, namespace, labels string) ([]string, error) {
	pods, err := n.pods(ctx, namespace, labels)
	names := make([]string, 0, len(pods))
	for _, p := range pods {
		names = append(names, p.Metadata.Name)
	}
	return names, err
}

// Event is an event of a pod, as in "kubectl describe".
type Event struct {
	Type    string `json:"type"`   // Normal or Warning
	Reason  string `json:"reason"` // for example FailedMount
	Message string `json:"message"`
	Count   int    `json:"count"`
}

func (e Event) String() string {
	times := ""
	if e.Count > 0 { // the newer API of events counts elsewhere
		times = fmt.Sprintf(" (%d times)", e.Count)
	}
	return fmt.Sprintf("%s %s%s: %s", e.Type, e.Reason, times, e.Message)
}

// PodEvents returns the events of the pod.
func (n *Node) PodEvents(ctx context.Context, namespace, pod string) ([]Event, error) {
	var list struct {
		Items []Event `json:"items"`
	}
	query := url.QueryEscape("involvedObject.kind=Pod,involvedObject.name=" + pod)
	err := n.Get(ctx, "/api/v1/namespaces/"+namespace+"/events?fieldSelector="+query, &list)
	return list.Items, err
}

// WaitPodEvent returns the first event with that reason and with text in its message.
func (n *Node) WaitPodEvent(ctx context.Context, namespace, pod, reason, text string) (Event, error) {
	var found Event
	err := n.Until(ctx, podTimeout, fmt.Sprintf("the event %s of pod %s/%s with %q", reason, namespace, pod, text), func(ctx context.Context) (bool, error) {
		events, err := n.PodEvents(ctx, namespace, pod)
		if err != nil {
			return false, err
		}
		for _, e := range events {
			if e.Reason == reason && strings.Contains(e.Message, text) {
				found = e
				return true, nil
			}
		}
		return false, fmt.Errorf("the pod's events are %v", events)
	})
	return found, err
}

// Exec runs a command in the pod's default container and returns its standard output.
func (n *Node) Exec(ctx context.Context, namespace, pod string, command ...string) (string, error) {
	return n.Kubectl(ctx, append([]string{"exec", "--namespace", namespace, pod, "--"}, command...)...)
}

// Logs returns the output of the container. If container is empty, it is the pod's default container.
func (n *Node) Logs(ctx context.Context, namespace, pod, container string) (string, error) {
	arguments := []string{"logs", "--namespace", namespace, pod}
	if container != "" {
		arguments = append(arguments, "--container", container)
	}
	return n.Kubectl(ctx, arguments...)
}

// DeletePods deletes the pods with the labels, or all pods of the namespace if labels is empty. It returns when the kubelet has
// cleaned up after them.
func (n *Node) DeletePods(ctx context.Context, namespace, labels string) error {
	arguments := []string{"delete", "pods", "--namespace", namespace, "--timeout", podTimeout.String()}
	if labels == "" {
		arguments = append(arguments, "--all")
	} else {
		arguments = append(arguments, "--selector", labels)
	}
	_, err := n.Kubectl(ctx, arguments...)
	return err
}

// Token returns a token of the ServiceAccount for the audience, as the kubelet gets it for a pod. life is at least ten minutes.
func (n *Node) Token(ctx context.Context, namespace, serviceAccount, audience string, life time.Duration) (string, error) {
	token, err := n.Kubectl(ctx, "create", "token", serviceAccount, "--namespace", namespace, "--audience", audience, "--duration", life.String())
	return strings.TrimSpace(token), err
}

// ContainerPID returns the host's pid of a running container's first process. /proc/PID/status shows its capabilities, and
// /proc/PID/mountinfo what it can see.
func (n *Node) ContainerPID(ctx context.Context, namespace, pod, container string) (int, error) {
	var o object
	if err := n.Get(ctx, podPath(namespace, pod), &o); err != nil {
		return 0, err
	}
	for _, c := range o.Status.ContainerStatuses {
		id, ok := strings.CutPrefix(c.ContainerID, "containerd://")
		if c.Name != container || !ok {
			continue
		}
		tasks, err := output(n.inBox(ctx, "ctr", "--namespace=k8s.io", "tasks", "list"))
		if err != nil {
			return 0, err
		}
		for line := range strings.Lines(tasks) {
			if fields := strings.Fields(line); len(fields) > 1 && fields[0] == id {
				return strconv.Atoi(fields[1])
			}
		}
	}
	return 0, errors.New("container " + container + " of pod " + namespace + "/" + pod + " is not running")
}
