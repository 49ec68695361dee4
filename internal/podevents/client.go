package podevents

import (
	"context"
	"encoding/json"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
)

// controller is the reporter of the Events.
const controller = "secrets-provider-aws"

// client writes Events of the API group events.k8s.io/v1.
type client struct {
	rest     *rest.RESTClient
	instance string
}

func newClient(cfg *rest.Config, instance string) (*client, error) {
	cfg = rest.CopyConfig(cfg)
	cfg.APIPath, cfg.GroupVersion = "/apis", &schema.GroupVersion{Group: "events.k8s.io", Version: "v1"}
	cfg.ContentType = runtime.ContentTypeJSON
	// The only type that is decoded is Status, the API server's errors.
	known := runtime.NewScheme()
	metav1.AddToGroupVersion(known, schema.GroupVersion{Version: "v1"})
	cfg.NegotiatedSerializer = serializer.NewCodecFactory(known).WithoutConversion()
	c, err := rest.RESTClientFor(cfg)
	return &client{rest: c, instance: instance}, err
}

// object is an Event as the API server reads it (events.k8s.io/v1, Event).
type object struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`

	EventTime           metav1.MicroTime `json:"eventTime"`
	ReportingController string           `json:"reportingController"`
	ReportingInstance   string           `json:"reportingInstance"`
	Action              string           `json:"action"`
	Reason              string           `json:"reason"`
	Regarding           reference        `json:"regarding"`
	Note                string           `json:"note"`
	Type                string           `json:"type"`
}

type reference struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Namespace  string `json:"namespace"`
	Name       string `json:"name"`
	UID        string `json:"uid"`
}

func (c *client) create(ctx context.Context, e Event, name string, at time.Time) error {
	kind := "Normal"
	if e.Warning {
		kind = "Warning"
	}
	body, err := json.Marshal(object{
		TypeMeta:   metav1.TypeMeta{APIVersion: "events.k8s.io/v1", Kind: "Event"},
		ObjectMeta: metav1.ObjectMeta{Namespace: e.Namespace, Name: name},
		EventTime:  metav1.NewMicroTime(at), ReportingController: controller, ReportingInstance: c.instance,
		Action: "MountSecrets", Reason: e.Reason, Type: kind, Note: cut(e.Note),
		Regarding: reference{APIVersion: "v1", Kind: "Pod", Namespace: e.Namespace, Name: e.Pod, UID: e.UID},
	})
	if err != nil {
		return err
	}
	return c.rest.Post().Namespace(e.Namespace).Resource("events").SetHeader("Content-Type", runtime.ContentTypeJSON).Body(body).Do(ctx).Error()
}

// repeat tells that an Event happened again.
func (c *client) repeat(ctx context.Context, namespace string, s series) error {
	type inSeries struct {
		Count            int              `json:"count"`
		LastObservedTime metav1.MicroTime `json:"lastObservedTime"`
	}
	body, err := json.Marshal(map[string]inSeries{"series": {s.count, metav1.NewMicroTime(s.last)}})
	if err != nil {
		return err
	}
	return c.rest.Patch(types.MergePatchType).Namespace(namespace).Resource("events").Name(s.name).Body(body).Do(ctx).Error()
}

func isNotFound(err error) bool { return apierrors.IsNotFound(err) }
