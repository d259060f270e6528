package packaging

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// object is what the files for Kubernetes may say: a key that is not here is a mistake.
type object struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string
	Metadata   struct {
		Name   string
		Labels map[string]string
	}
	Data map[string]string
	Spec struct {
		// A service, or a budget of disruptions.
		ClusterIP  string `yaml:"clusterIP"`
		NotReady   bool   `yaml:"publishNotReadyAddresses"`
		Ports      []port
		MaxAway    int `yaml:"maxUnavailable"`
		Selector   map[string]any
		Replicas   int
		Service    string `yaml:"serviceName"`
		Pods       string `yaml:"podManagementPolicy"`
		Template   template
		VolumeClas []struct {
			Metadata struct{ Name string }
			Spec     struct {
				AccessModes []string `yaml:"accessModes"`
				Resources   struct{ Requests map[string]string }
			}
		} `yaml:"volumeClaimTemplates"`
	}
}

type port struct {
	Name       string
	Port       int
	TargetPort string `yaml:"targetPort"`
	Container  int    `yaml:"containerPort"`
}

type template struct {
	Metadata struct{ Labels map[string]string }
	Spec     struct {
		Grace    int  `yaml:"terminationGracePeriodSeconds"`
		Account  bool `yaml:"automountServiceAccountToken"`
		Affinity map[string]any
		Security struct {
			NonRoot bool                  `yaml:"runAsNonRoot"`
			User    int                   `yaml:"runAsUser"`
			Group   int                   `yaml:"runAsGroup"`
			FSGroup int                   `yaml:"fsGroup"`
			Seccomp struct{ Type string } `yaml:"seccompProfile"`
		} `yaml:"securityContext"`
		Init       []container `yaml:"initContainers"`
		Containers []container
		Volumes    []struct {
			Name   string
			Empty  map[string]any `yaml:"emptyDir"`
			Secret struct {
				Name string `yaml:"secretName"`
			}
		}
	}
}

type container struct {
	Name, Image string
	Restart     string `yaml:"restartPolicy"`
	EnvFrom     []struct {
		ConfigMap struct{ Name string } `yaml:"configMapRef"`
	} `yaml:"envFrom"`
	Env []struct {
		Name, Value string
		From        struct {
			Field struct {
				Path string `yaml:"fieldPath"`
			} `yaml:"fieldRef"`
			Secret struct{ Name, Key string } `yaml:"secretKeyRef"`
		} `yaml:"valueFrom"`
	}
	Ports           []port
	Live            probe `yaml:"livenessProbe"`
	Ready           probe `yaml:"readinessProbe"`
	Resources       struct{ Requests, Limits map[string]string }
	SecurityContext struct {
		ReadOnly     bool `yaml:"readOnlyRootFilesystem"`
		Escalation   bool `yaml:"allowPrivilegeEscalation"`
		Capabilities struct{ Drop []string }
	} `yaml:"securityContext"`
	Mounts []struct {
		Name     string
		Path     string `yaml:"mountPath"`
		ReadOnly bool   `yaml:"readOnly"`
	} `yaml:"volumeMounts"`
}

type probe struct {
	Get      struct{ Path, Port, Scheme string } `yaml:"httpGet"`
	Period   int                                 `yaml:"periodSeconds"`
	Failures int                                 `yaml:"failureThreshold"`
}

// env are a container's variables, with those of its maps.
func (c *container) env(t *testing.T, maps map[string]map[string]string) map[string]string {
	t.Helper()
	env := map[string]string{}
	for _, from := range c.EnvFrom {
		if maps[from.ConfigMap.Name] == nil {
			t.Errorf("%s wants a map %s that there is not", c.Name, from.ConfigMap.Name)
		}
		for name, value := range maps[from.ConfigMap.Name] {
			env[name] = value
		}
	}
	for _, one := range c.Env {
		if one.Value == "" && one.From.Field.Path == "" && one.From.Secret.Key == "" {
			t.Errorf("%s of %s has no value", one.Name, c.Name)
		}
		value := one.Value
		for name, known := range env {
			value = strings.ReplaceAll(value, "$("+name+")", known)
		}
		if strings.Contains(value, "$(") {
			t.Errorf("%s of %s reads what comes after it: %s", one.Name, c.Name, value)
		}
		if value == "" {
			value = "testmesh-0"
		}
		env[one.Name] = value
	}
	return env
}

// confined checks what every container of ours keeps to.
func (c *container) confined(t *testing.T, pod *template) {
	t.Helper()
	s := c.SecurityContext
	if !s.ReadOnly || s.Escalation || !slices.Equal(s.Capabilities.Drop, []string{"ALL"}) || c.Resources.Limits["memory"] == "" {
		t.Errorf("%s may do more than it must", c.Name)
	}
	if p := pod.Spec.Security; !p.NonRoot || p.User != 65532 || p.FSGroup != 65532 || p.Seccomp.Type != "RuntimeDefault" || pod.Spec.Account {
		t.Errorf("the pod of %s may do more than it must", c.Name)
	}
	ports := map[string]int{}
	for _, one := range c.Ports {
		ports[one.Name] = one.Container
	}
	for _, one := range []probe{c.Live, c.Ready} {
		if one.Get.Path != "" && (ports[one.Get.Port] == 0 || one.Get.Path != "/healthz" && one.Get.Path != "/readyz") {
			t.Errorf("%s is asked for %s at %s", c.Name, one.Get.Path, one.Get.Port)
		}
	}
	if c.Live.Get.Path != "/healthz" {
		t.Errorf("whether %s lives is judged by %q, which may say more than that", c.Name, c.Live.Get.Path)
	}
}

func (o *object) volumes() (names []string) {
	for _, v := range o.Spec.Template.Spec.Volumes {
		names = append(names, v.Name)
	}
	for _, v := range o.Spec.VolumeClas {
		names = append(names, v.Metadata.Name)
	}
	return names
}

func TestSidecar(t *testing.T) {
	all := documents[object](t, "kubernetes/sidecar.yaml")
	if len(all) != 1 || all[0].Kind != "Deployment" || all[0].APIVersion != "apps/v1" {
		t.Fatalf("got %+v", all)
	}
	pod := &all[0].Spec.Template
	agent := &pod.Spec.Init[0]
	if agent.Restart != "Always" {
		t.Error("the agent is not a native sidecar: the service would wait for its end")
	}
	agent.confined(t, pod)
	p := program(agent.Name)
	p.load(t, agent.env(t, nil))
	if time.Duration(pod.Spec.Grace)*time.Second <= p.agent.Drain || p.agent.Drain == 0 {
		t.Errorf("the agent may drain for %s, and is ended after %d s", p.agent.Drain, pod.Spec.Grace)
	}
	if p.agent.Listen != "0.0.0.0:9101" || agent.Ports[0].Container != 9101 {
		t.Errorf("it listens at %s, and is asked at %v", p.agent.Listen, agent.Ports)
	}
	if p.agent.Token != "secret" {
		t.Errorf("its token is %q", p.agent.Token)
	}
	for _, m := range agent.Mounts {
		if !slices.Contains(all[0].volumes(), m.Name) {
			t.Errorf("it wants a volume %s that there is not", m.Name)
		}
	}
	if image := read(t, "agent.Dockerfile"); !slices.ContainsFunc(agent.Mounts, func(m struct {
		Name     string
		Path     string `yaml:"mountPath"`
		ReadOnly bool   `yaml:"readOnly"`
	},
	) bool {
		return strings.Contains(image, "VOLUME "+m.Path+"\n")
	}) {
		t.Error("the agent has no place for what it keeps")
	}
}

func TestThreeServers(t *testing.T) {
	kinds, maps := map[string]*object{}, map[string]map[string]string{}
	for _, one := range documents[object](t, "kubernetes/server.yaml") {
		if one.Metadata.Name == "" || one.APIVersion == "" {
			t.Errorf("a document without a name: %+v", one)
		}
		kinds[one.Kind+" "+one.Metadata.Name] = &one
		if one.Kind == "ConfigMap" {
			maps[one.Metadata.Name] = one.Data
		}
	}
	set, nodes := kinds["StatefulSet testmesh"], kinds["Service testmesh-nodes"]
	if set == nil || nodes == nil || kinds["Service testmesh"] == nil || kinds["PodDisruptionBudget testmesh"] == nil {
		t.Fatalf("got %d objects", len(kinds))
	}
	server := &set.Spec.Template.Spec.Containers[0]
	server.confined(t, &set.Spec.Template)
	p := program(server.Name)
	env := server.env(t, maps)
	p.load(t, env)
	if s := p.server; !s.Cluster.Bootstrap || s.Cluster.Join != "" || s.Cluster.Advertise != "testmesh-0.testmesh-nodes:7072" || s.Advertise != "https://testmesh-0.testmesh-nodes:7070" || s.Cluster.Token != "secret" {
		t.Errorf("the first node is told %+v", s)
	}
	// The second, as docs/install.md says it.
	env["TESTMESH_SERVER_BOOTSTRAP"], env["TESTMESH_SERVER_JOIN"] = "false", "https://testmesh-0.testmesh-nodes:7070"
	more := program(server.Name)
	more.load(t, env)
	if more.server.Cluster.Bootstrap || !strings.Contains(read(t, "../docs/install.md"), `"TESTMESH_SERVER_JOIN":"`+more.server.Cluster.Join+`"`) {
		t.Errorf("the second node is told %+v", more.server.Cluster)
	}
	if set.Spec.Service != nodes.Metadata.Name || !nodes.Spec.NotReady || nodes.Spec.ClusterIP != "None" {
		t.Error("the nodes do not find each other before they are ready")
	}
	if nodes.Spec.Ports[0].Port != 7070 || nodes.Spec.Ports[1].Port != 7072 || server.Ports[0].Container != 7070 || server.Ports[1].Container != 7072 {
		t.Error("the ports are others than the settings'")
	}
	if set.Spec.Template.Metadata.Labels["app"] != nodes.Spec.Selector["app"] {
		t.Error("the service selects other pods")
	}
	for _, m := range server.Mounts {
		if !slices.Contains(set.volumes(), m.Name) {
			t.Errorf("the server wants a volume %s that there is not", m.Name)
		}
	}
}
