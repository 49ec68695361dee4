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
	mountTimeout = 10 * time.Second // of one mount request
)

// The secrets in AWS and their values. They are invented, so the page may show them.
const (
	apiKeySecret   = "prod/payments/api-key"
	dbSecret       = "prod/payments/db"
	apiKey         = "demo-api-key"
	dbBefore       = `{"user":"payments","password":"demo-password-1"}`
	dbAfter        = `{"user":"payments","password":"demo-password-2"}`
	passwordBefore = "demo-password-1"
	passwordAfter  = "demo-password-2"
)

// world is everything around a mount: AWS, the Kubernetes API, the provider and the driver.
type world struct {
	work *folder // the caller sets it; start sets the rest

	aws      *awssim.Sim
	issuer   *awssim.Issuer
	kube     *kubesim.Sim
	provider *process
	driver   *grpc.ClientConn // the demo calls the provider as the driver does
	command  []string         // of the provider, with its arguments
	version  string           // that the provider reports to the driver

	tokens  []string // signed so far; the provider's log must contain none
	closers []func() error
}

// start starts AWS with the article's role and secrets, the Kubernetes API with its ServiceAccount, and
// program as the provider. It calls died if the provider exits by itself.
// The caller must call close, also after an error.
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

// startProvider starts program as its DaemonSet does. The provider calls AWS under its usual host names:
// the simulator acts as the HTTPS proxy in front of them.
func (w *world) startProvider(ctx context.Context, died func(error), program string) error {
	kubeconfig, ca := w.work.path("kubeconfig"), w.work.path("ca.pem")
	if err := errors.Join(w.kube.WriteKubeconfig(kubeconfig), w.aws.WriteCA(ca)); err != nil {
		return err
	}
	args := []string{
		"--provider-volume=" + w.work.path(socketFolder), "--kubeconfig=" + kubeconfig,
		"--refresh-interval=1s", "--admin-address=", // the default is two minutes; the port may be in use
	}
	env := []string{
		"HTTPS_PROXY=" + w.aws.ProxyURL(), "NO_PROXY=127.0.0.1", "AWS_CA_BUNDLE=" + ca,
		"AWS_CONFIG_FILE=" + os.DevNull, "AWS_SHARED_CREDENTIALS_FILE=" + os.DevNull, // ignore the home folder
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
	response, err := v1alpha1.NewCSIDriverProviderClient(w.driver).Version(ctx, &v1alpha1.VersionRequest{Version: "v1alpha1"})
	if err != nil {
		return fmt.Errorf("get the provider's version: %w", err)
	}
	w.version = response.GetRuntimeName() + " " + response.GetRuntimeVersion()
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

// token signs a token for the pod, as the API server does.
func (w *world) token(pod corev1.Pod) (string, error) {
	token, err := w.issuer.Token(awssim.Token{
		Namespace: pod.Namespace, ServiceAccount: pod.Spec.ServiceAccountName, Pod: pod.Name, PodUID: uid(pod), Node: nodeName,
	})
	w.tokens = append(w.tokens, token)
	return token, err
}

// mount sends the provider a mount request for the pod's volume and writes the files to dir, as the driver
// does. Like the driver it sends a fresh token each time.
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

// close stops everything in reverse order. It then checks that the provider's log contains no secret value
// and no token.
func (w *world) close() error {
	var errs []error
	for _, stop := range slices.Backward(w.closers) {
		errs = append(errs, stop())
	}
	if w.provider != nil {
		log := w.provider.output.String()
		for _, secret := range append(w.tokens, apiKey, passwordBefore, passwordAfter) {
			if strings.Contains(log, secret) {
				errs = append(errs, errors.New("the provider's log contains a secret value or a token"))
				break
			}
		}
	}
	return errors.Join(errs...)
}
