package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"golang.org/x/sync/errgroup"
)

// bare is the lower bound for reading values from AWS: SDK clients over a fresh transport, in this warm process. It looks up no
// identity, writes no files and serves no requests.
type bare struct {
	transport *http.Transport
	config    sdk.Config
}

func (w *world) newBare() (*bare, error) {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(w.aws.ca) {
		return nil, errors.New("the simulator's CA is not PEM")
	}
	t := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, MaxIdleConnsPerHost: 100}
	return &bare{transport: t, config: sdk.Config{
		Region: region, BaseEndpoint: sdk.String(w.aws.url), HTTPClient: &http.Client{Transport: t}, Credentials: sdk.AnonymousCredentials{},
	}}, nil
}

func (b *bare) close() { b.transport.CloseIdleConnections() }

// cold assumes the role, then reads all secrets at once.
func (b *bare) cold(ctx context.Context, token string, secrets []string) (time.Duration, error) {
	started := time.Now()
	out, err := sts.NewFromConfig(b.config).AssumeRoleWithWebIdentity(ctx, &sts.AssumeRoleWithWebIdentityInput{
		RoleArn: sdk.String(roleARN), RoleSessionName: sdk.String("floor"), WebIdentityToken: &token,
	})
	if err != nil {
		return 0, err
	}
	c := out.Credentials
	b.config.Credentials = sdk.NewCredentialsCache(credentials.NewStaticCredentialsProvider(*c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken))
	_, err = b.read(ctx, secrets)
	return time.Since(started), err
}

// read reads all secrets at once.
func (b *bare) read(ctx context.Context, secrets []string) (time.Duration, error) {
	started := time.Now()
	client := secretsmanager.NewFromConfig(b.config)
	group, ctx := errgroup.WithContext(ctx)
	for _, name := range secrets {
		group.Go(func() error {
			_, err := client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &name})
			return err
		})
	}
	err := group.Wait()
	return time.Since(started), err
}
