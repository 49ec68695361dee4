package deployment_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"secrets-provider-aws/docs"
)

// awsValues has the values of AWS's chart 3.1, in the forms that its templates accept. A value with the same effect here
// has the text that it renders to, with white space as one space. The migration guide names what the chart refuses and what
// has no effect.
var awsValues = []struct {
	value   string   // as in the table of the migration guide
	yaml    string   // the values
	renders []string // parts of the rendered text
	absent  []string // parts that must not be in it
	refused string   // part of the refusal
}{
	{value: "image", yaml: "image: {pullPolicy: Always}", renders: []string{"imagePullPolicy: Always"}},
	{value: "image", yaml: "image: {repository: registry.example.com/aws, tag: 1.2.3}", renders: []string{`image: "registry.example.com/aws:1.2.3"`}},
	{
		value: "image", yaml: "image: {repository: public.ecr.aws/aws-secrets-manager/secrets-store-csi-driver-provider-aws, tag: 3.1.1}",
		refused: "is AWS's own provider",
	},
	{value: "nameOverride", yaml: "nameOverride: other", renders: []string{"app.kubernetes.io/name: other"}},
	{value: "fullnameOverride", yaml: "fullnameOverride: other", renders: []string{"kind: DaemonSet metadata: name: other namespace: kube-system"}},
	{value: "awsRegion", yaml: "awsRegion: eu-west-1", renders: []string{"name: AWS_REGION value: eu-west-1"}},
	{value: "awsRegion", yaml: `awsRegion: ""`, absent: []string{"AWS_REGION"}},
	{
		value: "providerVolume", yaml: "providerVolume: /etc/kubernetes/secrets-store-csi-providers",
		renders: []string{
			"--provider-volume=/etc/kubernetes/secrets-store-csi-providers", "mountPath: /etc/kubernetes/secrets-store-csi-providers",
			"hostPath: path: /etc/kubernetes/secrets-store-csi-providers",
		},
	},
	{value: "providerVolume", yaml: "{}", renders: []string{"--provider-volume=/var/run/secrets-store-csi-providers"}},
	{value: "kubeletPath", yaml: "kubeletPath: /data/kubelet", absent: []string{"kubelet/pods", "/data/kubelet"}},
	{value: "driverWritesSecrets", yaml: "driverWritesSecrets: true"},
	{value: "driverWritesSecrets", yaml: "driverWritesSecrets: false", refused: "the CSI driver always writes the files"},
	{value: "podLabels", yaml: "podLabels: {team: platform}", renders: []string{"team: platform"}},
	{value: "podAnnotations", yaml: "podAnnotations: {example.com/scrape: 'true'}", renders: []string{`example.com/scrape: "true"`}},
	{value: "commonLabels", yaml: "commonLabels: {team: platform}", renders: []string{"team: platform"}},
	{value: "affinity", yaml: "affinity: {}", renders: []string{"values: - fargate"}},
	{
		value: "affinity", renders: []string{"podAffinity: requiredDuringSchedulingIgnoredDuringExecution: - topologyKey: zone"},
		yaml: "affinity: {podAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: zone}]}}",
	},
	{
		value: "resources", yaml: "resources: {requests: {cpu: 50m, memory: 100Mi}, limits: {cpu: 50m, memory: 100Mi}}",
		renders: []string{"resources: limits: cpu: 50m memory: 100Mi requests: cpu: 50m memory: 100Mi"},
	},
	{value: "priorityClassName", yaml: `priorityClassName: ""`, absent: []string{"priorityClassName"}},
	{value: "priorityClassName", yaml: "priorityClassName: system-cluster-critical", renders: []string{"priorityClassName: system-cluster-critical"}},
	{value: "nodeSelector", yaml: "nodeSelector: {pool: apps}", renders: []string{"nodeSelector: kubernetes.io/os: linux pool: apps"}},
	{value: "tolerations", yaml: "tolerations: []", absent: []string{"tolerations"}},
	{value: "tolerations", yaml: "tolerations: [{key: dedicated, operator: Exists}]", renders: []string{"tolerations: - key: dedicated operator: Exists"}},
	{value: "port", yaml: "port: 9090", renders: []string{"--admin-address=:9090", "containerPort: 9090"}},
	{value: "updateStrategy", yaml: "updateStrategy: {type: RollingUpdate}", renders: []string{"rollingUpdate: maxSurge: 1 maxUnavailable: 0"}},
	{value: "updateStrategy", yaml: "updateStrategy: {type: OnDelete}", renders: []string{"type: OnDelete"}, absent: []string{"rollingUpdate"}},
	{
		value: "updateStrategy", yaml: "updateStrategy: {type: RollingUpdate, rollingUpdate: {maxUnavailable: 10%}}",
		renders: []string{"type: RollingUpdate rollingUpdate: maxSurge: 0 maxUnavailable: 10%"},
	},
	{value: "updateStrategy", yaml: "updateStrategy: {rollingUpdate: {maxUnavailable: 1}}", renders: []string{"maxSurge: 0 maxUnavailable: 1"}},
	{value: "updateStrategy", yaml: "updateStrategy: {rollingUpdate: {maxSurge: 25%}}", renders: []string{"maxSurge: 25% maxUnavailable: 0"}},
	{value: "updateStrategy", yaml: "updateStrategy: {rollingUpdate: {maxSurge: 25%, maxUnavailable: 0}}", renders: []string{"maxSurge: 25% maxUnavailable: 0"}},
	{value: "updateStrategy", yaml: "updateStrategy: {rollingUpdate: {maxSurge: 0}}", renders: []string{"maxSurge: 0 maxUnavailable: 1"}},
	{value: "updateStrategy", yaml: "updateStrategy: {rollingUpdate: {maxUnavailable: 0}}", renders: []string{"maxSurge: 1 maxUnavailable: 0"}},
	{value: "updateStrategy", yaml: "updateStrategy: {rollingUpdate: null}", renders: []string{"maxSurge: 1 maxUnavailable: 0"}},
	{value: "imagePullSecrets", yaml: "imagePullSecrets: [{name: registry}]", renders: []string{"imagePullSecrets: - name: registry"}},
	{value: "rbac.install", yaml: "rbac: {install: false}", absent: []string{"kind: ClusterRole", "kind: ServiceAccount metadata"}},
	{value: "rbac.serviceAccountName", yaml: "rbac: {serviceAccountName: other}", renders: []string{"serviceAccountName: other"}},
	{value: "rbac.pspEnabled", yaml: "rbac: {pspEnabled: false}", absent: []string{"PodSecurityPolicy"}},
	{value: "rbac.pspEnabled", yaml: "rbac: {pspEnabled: true}", refused: "Kubernetes has no PodSecurityPolicy since 1.25"},
	{value: "securityContext", yaml: "securityContext: {privileged: false, allowPrivilegeEscalation: false}", renders: []string{"privileged: false"}},
	{value: "useFipsEndpoint", yaml: "useFipsEndpoint: true", renders: []string{`name: AWS_USE_FIPS_ENDPOINT value: "true"`}},
	{value: "useFipsEndpoint", yaml: "useFipsEndpoint: false", absent: []string{"AWS_USE_FIPS_ENDPOINT"}},
	{value: "podIdentityHttpTimeout", yaml: "podIdentityHttpTimeout: 250ms", renders: []string{"--pod-identity-http-timeout=250ms"}},
	{value: "podIdentityHttpTimeout", yaml: `podIdentityHttpTimeout: ""`, absent: []string{"--pod-identity-http-timeout"}},
	{value: "eksAddonVersion", yaml: "eksAddonVersion: v3.1.1-eksbuild.1", renders: []string{"--eks-addon-version=v3.1.1-eksbuild.1"}},
	{value: "k8sThrottlingParams", yaml: "k8sThrottlingParams: {qps: 20, burst: '40'}", renders: []string{"--qps=20 - --burst=40"}},
	{value: "secrets-store-csi-driver.install", yaml: "secrets-store-csi-driver: {install: false}", absent: []string{"kind: CSIDriver"}},
	{value: "secrets-store-csi-driver.install", yaml: "secrets-store-csi-driver: {install: true}", renders: []string{"kind: CSIDriver"}},
	{
		value: "secrets-store-csi-driver.fullnameOverride", yaml: "secrets-store-csi-driver: {install: true}",
		renders: []string{"metadata: name: secrets-store-csi-driver namespace: kube-system"},
	},
	{
		value: "secrets-store-csi-driver.fullnameOverride", yaml: "secrets-store-csi-driver: {install: true, fullnameOverride: csi}",
		renders: []string{"metadata: name: csi namespace: kube-system"},
	},
	{
		value: "secrets-store-csi-driver.tokenRequests", yaml: "secrets-store-csi-driver: {install: true}",
		renders: []string{"tokenRequests: - audience: sts.amazonaws.com - audience: pods.eks.amazonaws.com"},
	},
	{
		value: "secrets-store-csi-driver.linux.affinity", yaml: "secrets-store-csi-driver: {install: true}",
		renders: []string{"values: - virtual-kubelet - key: eks.amazonaws.com/compute-type operator: NotIn values: - fargate"},
	},
	{
		value: "secrets-store-csi-driver.enableSecretRotation", renders: []string{"requiresRepublish: false"}, absent: []string{"--enable-secret-rotation"},
		yaml: "secrets-store-csi-driver: {install: true}",
	},
	{
		value: "secrets-store-csi-driver.enableSecretRotation", renders: []string{"requiresRepublish: true", "--rotation-poll-interval=1h", "audience: sts.amazonaws.com"},
		yaml: "secrets-store-csi-driver: {install: true, enableSecretRotation: true, rotationPollInterval: 1h}",
	},
}

// A value of AWS's chart has the same effect here, or the chart refuses it and the guide says so.
func TestChart_TakesTheValuesOfAWSChart(t *testing.T) {
	dir := chart(t)
	for _, test := range awsValues {
		t.Run(test.yaml, func(t *testing.T) {
			rendered, err := render(t, dir, []byte(test.yaml))
			if test.refused != "" {
				if err == nil || !strings.Contains(err.Error(), test.refused) {
					t.Errorf("got %v, want a refusal with %q", err, test.refused)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			rendered = strings.Join(strings.Fields(rendered), " ")
			for _, part := range test.renders {
				if !strings.Contains(rendered, part) {
					t.Errorf("the rendered chart lacks %q", part)
				}
			}
			for _, part := range test.absent {
				if strings.Contains(rendered, part) {
					t.Errorf("the rendered chart has %q", part)
				}
			}
		})
	}
}

// The guide has a row for each tested value, and a test has each row. A row says "refused" exactly if a form is.
func TestGuides_ValuesOfAWSChartAreTested(t *testing.T) {
	rows, err := docs.Table("migrate-from-aws-provider.md", "Values of the chart")
	if err != nil {
		t.Fatal(err)
	}
	documented, refusals := map[string]bool{}, map[string]bool{}
	for _, row := range rows {
		for _, name := range docs.Code(row[0]) {
			documented[name] = strings.Contains(row[1], "refused")
		}
	}
	for _, test := range awsValues {
		refusals[test.value] = refusals[test.value] || test.refused != ""
	}
	if diff := cmp.Diff(refusals, documented); diff != "" {
		t.Errorf("values and if a form is refused (-tests +guide):\n%s", diff)
	}
}
