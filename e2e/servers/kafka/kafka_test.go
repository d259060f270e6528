package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// certificate writes one for 127.0.0.1 that is its own authority.
func certificate(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return pool
}

// start runs the program and gives what it prints.
func start(t *testing.T, dir string) map[string]string {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	in, out := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := run(ctx, dir, out)
		_ = out.CloseWithError(err)
		ended <- err
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	printed := map[string]string{}
	for lines := bufio.NewScanner(in); lines.Scan(); {
		if lines.Text() == "ready" {
			return printed
		}
		name, value, _ := strings.Cut(lines.Text(), "=")
		printed[name] = value
	}
	t.Fatalf("it never was ready; it printed %v", printed)
	return nil
}

func TestEveryListenerTakesAMessageAndGivesItBack(t *testing.T) {
	dir := t.TempDir()
	pool := certificate(t, dir)
	printed := start(t, dir)
	with := func(m sasl.Mechanism) []kgo.Opt { return []kgo.Opt{kgo.SASL(m)} }
	tests := map[string]struct {
		broker  string
		options []kgo.Opt
	}{
		"plain":         {broker: "KAFKA_BROKERS"},
		"SASL PLAIN":    {"KAFKA_SASL_BROKERS", with(plain.Auth{User: user, Pass: password}.AsMechanism())},
		"SCRAM-SHA-256": {"KAFKA_SASL_BROKERS", with(scram.Auth{User: user, Pass: password}.AsSha256Mechanism())},
		"SCRAM-SHA-512": {"KAFKA_SASL_BROKERS", with(scram.Auth{User: user, Pass: password}.AsSha512Mechanism())},
		"TLS":           {"KAFKA_TLS_BROKERS", []kgo.Opt{kgo.DialTLSConfig(&tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12})}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			topic := strings.ReplaceAll(name, " ", "-")
			options := append(test.options, kgo.SeedBrokers(printed[test.broker]), kgo.ConsumeTopics(topic),
				kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.UnknownTopicRetries(0))
			client, err := kgo.NewClient(options...)
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Value: []byte(name)}).FirstErr(); err == nil {
				t.Error("a topic was made by itself")
			}
			create(t, client, topic)
			if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Value: []byte(name)}).FirstErr(); err != nil {
				t.Fatal(err)
			}
			records := client.PollFetches(t.Context()).Records()
			if len(records) != 1 || string(records[0].Value) != name {
				t.Errorf("got %v, want the message", records)
			}
		})
	}
}

func create(t *testing.T, client *kgo.Client, topic string) {
	t.Helper()
	req := kmsg.NewPtrCreateTopicsRequest()
	one := kmsg.NewCreateTopicsRequestTopic()
	one.Topic, one.NumPartitions, one.ReplicationFactor = topic, -1, -1
	req.Topics = append(req.Topics, one)
	res, err := req.RequestWith(t.Context(), client)
	if err != nil {
		t.Fatal(err)
	}
	if err := kerr.ErrorForCode(res.Topics[0].ErrorCode); err != nil {
		t.Fatal(err)
	}
}

func TestWithoutACertificateItDoesNotStart(t *testing.T) {
	if err := run(t.Context(), t.TempDir(), io.Discard); err == nil || !strings.Contains(err.Error(), "cert.pem") {
		t.Errorf("got %v, want the file's name", err)
	}
}

func TestTheRegistryAnswersAsARealOne(t *testing.T) {
	server := httptest.NewServer(newRegistry())
	defer server.Close()
	const person, pet = `{"type":"record","name":"Person","fields":[]}`, `{"type":"record","name":"Pet","fields":[]}`
	avro := func(s string) string { return `{"schema":` + quoted(t, s) + `}` }
	for _, step := range []struct {
		claim, method, path, body string
		status                    int
		want                      string
	}{
		{"at first there is nothing", "GET", "/subjects", "", 200, `[]`},
		{"an unknown subject", "GET", "/subjects/a-value/versions/latest", "", 404, `{"error_code":40401,"message":"Subject 'a-value' not found."}`},
		{"a schema gets an id", "POST", "/subjects/a-value/versions", avro(person), 200, `{"id":1}`},
		{"the same one keeps it", "POST", "/subjects/a-value/versions", avro(person), 200, `{"id":1}`},
		{"under another subject too", "POST", "/subjects/b-value/versions", avro(person), 200, `{"id":1}`},
		{"another one gets another", "POST", "/subjects/a-value/versions", avro(pet), 200, `{"id":2}`},
		{"versions", "GET", "/subjects/a-value/versions", "", 200, `[1,2]`},
		{"the latest", "GET", "/subjects/a-value/versions/latest", "", 200, `{"subject":"a-value","version":2,"id":2,"schema":` + quoted(t, pet) + `}`},
		{"one of them", "GET", "/subjects/a-value/versions/1", "", 200, `{"subject":"a-value","version":1,"id":1,"schema":` + quoted(t, person) + `}`},
		{"a version that is not", "GET", "/subjects/a-value/versions/7", "", 404, `{"error_code":40402,"message":"Version 7 not found."}`},
		{"by its text", "POST", "/subjects/b-value", avro(person), 200, `{"subject":"b-value","version":1,"id":1,"schema":` + quoted(t, person) + `}`},
		{"a text that is not there", "POST", "/subjects/b-value", avro(pet), 404, `{"error_code":40403,"message":"Schema not found"}`},
		{"by id", "GET", "/schemas/ids/1", "", 200, `{"schema":` + quoted(t, person) + `}`},
		{"an unknown id", "GET", "/schemas/ids/99", "", 404, `{"error_code":40403,"message":"Schema 99 not found"}`},
		{"Protobuf with its type and references", "POST", "/subjects/p-value/versions", `{"schemaType":"PROTOBUF","schema":"syntax = \"proto3\";","references":[{"name":"a","subject":"a-value","version":1}]}`, 200, `{"id":3}`},
		{"as it was registered", "GET", "/schemas/ids/3", "", 200, `{"schemaType":"PROTOBUF","references":[{"name":"a","subject":"a-value","version":1}],"schema":"syntax = \"proto3\";"}`},
		{"a reference to nothing", "POST", "/subjects/p-value/versions", `{"schemaType":"PROTOBUF","schema":"x","references":[{"name":"a","subject":"z","version":1}]}`, 422, `{"error_code":42201,"message":"Invalid schema: no version 1 of the subject 'z' that it refers to"}`},
		{"what is no schema", "POST", "/subjects/a-value/versions", `{"schema":"{"}`, 422, `{"error_code":42201,"message":"Invalid schema {"}`},
		{"an unknown type", "POST", "/subjects/a-value/versions", `{"schema":"{}","schemaType":"XML"}`, 422, `{"error_code":42201,"message":"Invalid schema type XML"}`},
		{"a subject goes", "DELETE", "/subjects/a-value", "", 200, `[1,2]`},
		{"and is gone", "GET", "/subjects", "", 200, `["b-value","p-value"]`},
	} {
		t.Run(step.claim, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), step.method, server.URL+step.path, strings.NewReader(step.body))
			if err != nil {
				t.Fatal(err)
			}
			res, err := server.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			got, err := io.ReadAll(res.Body)
			if err != nil {
				t.Fatal(err)
			}
			if res.StatusCode != step.status {
				t.Errorf("got status %d, want %d", res.StatusCode, step.status)
			}
			if diff := cmp.Diff(step.want, string(bytes.TrimSpace(got))); diff != "" {
				t.Errorf("answer (-want +got)\n%s", diff)
			}
		})
	}
}

func quoted(t *testing.T, text string) string {
	t.Helper()
	out, err := json.Marshal(text)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
