package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"

	"secrets-provider-aws/test/awssim"
	"secrets-provider-aws/test/csidriver"
	"secrets-provider-aws/test/kubesim"
)

const (
	audience     = "sts.amazonaws.com"
	nodeName     = "node-1"
	mountTimeout = 10 * time.Second // of the demo's own patience with one mount
)

// The secrets in AWS, and what their values are. They are made up, so that they may be shown.
const (
	apiKeySecret   = "prod/payments/api-key"
	dbSecret       = "prod/payments/db"
	apiKey         = "demo-api-key"
	dbBefore       = `{"user":"payments","password":"demo-password-1"}`
	dbAfter        = `{"user":"payments","password":"demo-password-2"}`
	passwordBefore = "demo-password-1"
	passwordAfter  = "demo-password-2"
)

// world is everything that a mount meets on its way.
type world struct {
	work *folder // set from the beginning, the rest by start

	aws      *awssim.Sim
	issuer   *awssim.Issuer
	kube     *kubesim.Sim
	provider *process
	driver   *grpc.ClientConn // as which the demo calls the provider
	command  []string         // how the provider was started
	version  string           // of the provider, as it tells the driver

	tokens  []string // signed so far: none may stand in the provider's log
	closers []func() error
}

// start starts all of it: AWS, with the article's role and secrets; the Kubernetes API, with its
// ServiceAccount; and the program as the provider. died is called when that ends by itself.
// What has been started is for close to stop, after an error too.
func (w *world) start(ctx context.Context, died func(error), a *article, program string) error {
	if err := w.startAWS(a); err != nil {
		return err
	}
	w.startKubernetes(a)
	return w.startProvider(ctx, died, program)
}

func (w *world) startAWS(a *article) error {
	aws, err := awssim.Start(awssim.Config{TLS: true, PodIdentityListen: "-"})
	if err != nil {
		return err
	}
	w.aws = aws
	w.closers = append(w.closers, func() error { aws.Close(); return nil })
	if w.issuer, err = aws.NewIssuer(); err != nil {
		return err
	}
	if err := aws.AddRole(a.role(w.issuer)); err != nil {
		return err
	}
	aws.PutSecret(a.region(), apiKeySecret, apiKey)
	aws.PutSecret(a.region(), dbSecret, dbBefore)
	return nil
}

func (w *world) startKubernetes(a *article) {
	w.kube = kubesim.Start(0)
	w.closers = append(w.closers, func() error { w.kube.Close(); return nil })
	w.kube.SetServiceAccount(a.serviceAccount.Namespace, a.serviceAccount.Name, a.serviceAccount.Annotations)
}

// startProvider starts the program as its DaemonSet does. It calls AWS under its ordinary host names:
// the simulator is the HTTPS proxy in front of them.
func (w *world) startProvider(ctx context.Context, died func(error), program string) error {
	kubeconfig, ca := w.work.path("kubeconfig"), w.work.path("ca.pem")
	if err := errors.Join(w.kube.WriteKubeconfig(kubeconfig), w.aws.WriteCA(ca)); err != nil {
		return err
	}
	args := []string{
		"--provider-volume=" + w.work.path(socketFolder), "--kubeconfig=" + kubeconfig,
		"--refresh-interval=1s", "--admin-address=", // a reader does not wait two minutes, and the port may be taken
	}
	env := []string{
		"HTTPS_PROXY=" + w.aws.ProxyURL(), "NO_PROXY=127.0.0.1", "AWS_CA_BUNDLE=" + ca,
		"AWS_CONFIG_FILE=" + os.DevNull, "AWS_SHARED_CREDENTIALS_FILE=" + os.DevNull, // not those of the home folder
	}
	var err error
	if w.provider, err = startProcess(ctx, died, program, args, env); err != nil {
		return err
	}
	w.closers = append(w.closers, w.provider.end)
	w.command = append([]string{program}, args...)

	socket := w.work.path(socketFolder, "aws.sock")
	if err := awaitFile(ctx, socket); err != nil {
		return fmt.Errorf("wait for the provider's socket: %w", err)
	}
	if w.driver, err = csidriver.Dial(socket); err != nil {
		return err
	}
	w.closers = append(w.closers, w.driver.Close)
	who, err := v1alpha1.NewCSIDriverProviderClient(w.driver).Version(ctx, &v1alpha1.VersionRequest{Version: "v1alpha1"})
	if err != nil {
		return fmt.Errorf("ask the provider for its version: %w", err)
	}
	w.version = who.GetRuntimeName() + " " + who.GetRuntimeVersion()
	return nil
}

func awaitFile(ctx context.Context, path string) error {
	for {
		if _, err := os.Stat(path); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// token is the token that the API server would sign for the pod.
func (w *world) token(pod corev1.Pod) (string, error) {
	token, err := w.issuer.Token(awssim.Token{
		Namespace: pod.Namespace, ServiceAccount: pod.Spec.ServiceAccountName, Pod: pod.Name, PodUID: uid(pod), Node: nodeName,
	})
	w.tokens = append(w.tokens, token)
	return token, err
}

// mount has the provider mount the pod's volume, and the files written to dir, as the driver does.
// Like the driver it sends a fresh token each time.
func (w *world) mount(ctx context.Context, pod corev1.Pod, parameters map[string]string, dir string) error {
	token, err := w.token(pod)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, mountTimeout)
	defer cancel()
	return csidriver.Mount(ctx, w.driver, csidriver.Volume{
		Namespace: pod.Namespace, ServiceAccount: pod.Spec.ServiceAccountName, Pod: pod.Name, PodUID: uid(pod),
		Class:      pod.Spec.Volumes[0].CSI.VolumeAttributes["secretProviderClass"],
		Parameters: parameters,
		Tokens:     map[string]string{audience: token},
	}, dir)
}

func uid(pod corev1.Pod) string { return "uid-of-" + pod.Name }

// close stops everything, last started first, and then reads the provider's log: no secret value and no
// token may stand in it.
func (w *world) close() error {
	var errs []error
	for _, stop := range slices.Backward(w.closers) {
		errs = append(errs, stop())
	}
	if w.provider != nil {
		log := w.provider.output.String()
		for _, secret := range append(w.tokens, apiKey, passwordBefore, passwordAfter) {
			if strings.Contains(log, secret) {
				errs = append(errs, errors.New("the provider's log holds a secret value or a token"))
				break
			}
		}
	}
	return errors.Join(errs...)
}
