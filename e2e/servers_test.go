package e2e

import (
	"maps"
	"regexp"
	"strings"
	"testing"
)

// hostAndPort finds the address in a URL or a list of brokers, behind the user and
// password.
var hostAndPort = regexp.MustCompile(`[^/@,\s]+:\d+\b`)

// addresses gives where the real servers are as outputs call them: what
// POSTGRES_URL says is POSTGRES_ADDR, and of KAFKA_BROKERS KAFKA_ADDR.
func addresses(servers []string) map[string]string {
	found := map[string]string{}
	for _, server := range servers {
		name, value, _ := strings.Cut(server, "=")
		for _, end := range []string{"_URL", "_BROKERS"} {
			name, ends := strings.CutSuffix(name, end)
			if addr := hostAndPort.FindString(value); ends && addr != "" {
				found[name+"_ADDR"] = addr
			}
		}
	}
	return found
}

func TestAddressesOfServers(t *testing.T) {
	got := addresses([]string{
		"POSTGRES_URL=postgres://testmesh:secret@127.0.0.1:5432/testmesh",
		"POSTGRES_TLS_CA=/ca.pem",
		"REDIS_URL=unix:///run/redis",
		"KAFKA_SASL_BROKERS=localhost:9092,localhost:9093",
		"SCHEMA_REGISTRY_URL=http://127.0.0.1:8081",
	})
	want := map[string]string{
		"POSTGRES_ADDR": "127.0.0.1:5432", "KAFKA_SASL_ADDR": "localhost:9092", "SCHEMA_REGISTRY_ADDR": "127.0.0.1:8081",
	}
	if !maps.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
