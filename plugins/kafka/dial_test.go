package kafka

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/testmesh/testmesh/plugins/servertest"
	"github.com/testmesh/testmesh/sdk/plugin"
)

// authority is a certificate for this machine that is its own authority, as PEM
// and for a server.
type authority struct {
	cert, key string
	pair      tls.Certificate
	pool      *x509.CertPool
}

func newAuthority(t *testing.T) *authority {
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
	a := &authority{
		cert: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		key:  string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})),
		pool: x509.NewCertPool(),
	}
	if a.pair, err = tls.X509KeyPair([]byte(a.cert), []byte(a.key)); err != nil {
		t.Fatal(err)
	}
	a.pool.AppendCertsFromPEM([]byte(a.cert))
	return a
}

// server answers every connection with a function until the test ends.
func server(t *testing.T, answer func(net.Conn)) (address string) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				answer(c)
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		all.Wait()
	})
	return l.Addr().String()
}

func silent(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

// says answers the first bytes with others and closes.
func says(text string) func(net.Conn) {
	return func(c net.Conn) {
		_, _ = c.Read(make([]byte, 1000))
		_, _ = io.WriteString(c, text)
	}
}

func TestConnectionsThatFailSayInWhichPhase(t *testing.T) {
	own := newAuthority(t)
	plain, _ := broker(t)
	secured, _ := broker(t, kfake.TLS(&tls.Config{Certificates: []tls.Certificate{own.pair}, MinVersion: tls.VersionTLS12}))
	mutual, _ := broker(t, kfake.TLS(&tls.Config{Certificates: []tls.Certificate{own.pair}, ClientCAs: own.pool, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12}))
	guarded, _ := broker(t, kfake.EnableSASL(), kfake.Superuser("PLAIN", "ada", "right-word"), kfake.Superuser("SCRAM-SHA-256", "ada", "right-word"))
	login := func(mechanism, word string) keys {
		return keys{"mechanism": mechanism, "username": "ada", "password": word}
	}
	var closed atomic.Bool
	quiet := func(key kmsg.Key, options ...kfake.Opt) string {
		address, fake := broker(t, options...)
		silence(fake, key, &closed)
		return address
	}
	const soon = "300ms"
	tests := map[string]struct {
		config keys
		want   string // a regular expression
	}{
		"nobody listens":               {keys{"brokers": "127.0.0.1:1"}, `^E-CONN .*connection refused.*127\.0\.0\.1:1 \| is the service started, and may this machine reach it\?$`},
		"several nobodies":             {keys{"brokers": []string{"127.0.0.1:1", "127.0.0.1:2"}}, `^E-CONN none of the 2 brokers answered; .*127\.0\.0\.1:1 .*127\.0\.0\.1:2$`},
		"a name that does not resolve": {keys{"brokers": "kafka.invalid:9092"}, `^E-DNS the name "kafka.invalid" does not resolve`},
		"a port without a broker that says nothing": {
			keys{"brokers": server(t, silent), "connect_timeout": soon},
			`^E-TIMEOUT \S+ did not answer the first request within 300ms \| does this port want TLS\? then give tls: \{\}$`,
		},
		"one that says nothing to TLS": {
			keys{"brokers": server(t, silent), "connect_timeout": soon, "tls": keys{}},
			`^E-TIMEOUT \S+ did not answer the TLS handshake within 300ms \| does this port speak TLS\? if it does not, leave tls out$`,
		},
		"a web server": {
			keys{"brokers": server(t, says("HTTP/1.1 400 Bad Request\r\n\r\n"))},
			`^E-PROTOCOL \S+ does not speak Kafka: it answers "HTTP/1\.1 400 Bad" \| is this the port of a Kafka broker\?$`,
		},
		"one that hangs up": {
			keys{"brokers": server(t, says(""))}, `^E-CONN \S+ closed the connection at the first request \| does this port want TLS\? then give tls: \{\}$`,
		},
		"an alert of TLS": {keys{"brokers": server(t, says("\x15\x03\x03\x00\x02\x02\x46"))}, `^E-TLS \S+ speaks TLS on this port \| give tls: \{\}, or use the port without TLS$`},
		"half an answer":  {keys{"brokers": server(t, says("\x00\x00\x01\x00\x00\x00\x00\x01x"))}, `^E-CONN \S+ closed the connection at the first request`},
		"garbage":         {keys{"brokers": server(t, says("\x00\x00\x00\x0a\x00\x00\x00\x01\x00\x00\xff\xff\xff\xff"))}, `^E-`},
		"a huge list in a small answer": {
			keys{"brokers": server(t, says("\x00\x00\x00\x0a\x00\x00\x00\x01\x00\x00\x7f\xff\xff\xff"))}, `^E-PROTOCOL `,
		},
		"an answer to another request": {keys{"brokers": server(t, says("\x00\x00\x00\x04\x00\x00\x00\x63"))}, `^E-PROTOCOL .* it answers request 99, not 1$`},
		"without TLS to a port with":   {keys{"brokers": secured}, `^E-(CONN|TLS) \S+ (closed the connection at the first request|speaks TLS on this port) \| (does this port want TLS\? then )?give tls: \{\}`},
		"with TLS to a port without":   {keys{"brokers": plain, "connect_timeout": soon, "tls": keys{}}, `^E-TIMEOUT \S+ did not answer the TLS handshake within 300ms \| does this port speak TLS\? if it does not, leave tls out$`},
		"an authority that is not known": {
			keys{"brokers": secured, "tls": keys{}}, `^E-TLS the certificate of \S+ is signed by an authority that is not trusted \| name the authority with tls\.ca_file, or switch the check off with tls: \{verify: false\}$`,
		},
		"a certificate for another name": {keys{"brokers": secured, "tls": keys{"ca": own.cert, "server_name": "kafka"}}, `^E-TLS the certificate of \S+ is for another name`},
		"no client certificate":          {keys{"brokers": mutual, "tls": keys{"ca": own.cert}}, `^E-TLS .*client certificate`},
		"a wrong password":               {keys{"brokers": guarded, "sasl": login("PLAIN", "wrong-word")}, `^E-AUTH \S+ refused the login of "ada" by PLAIN \| check sasl\.username, sasl\.password and sasl\.mechanism`},
		"a wrong password by SCRAM":      {keys{"brokers": guarded, "sasl": login("SCRAM-SHA-256", "wrong-word")}, `^E-AUTH \S+ refused the login of "ada" by SCRAM-SHA-256 \| check`},
		"a mechanism that it has not":    {keys{"brokers": guarded, "sasl": login("SCRAM-SHA-512", "right-word")}, `^E-AUTH \S+ (does not take SCRAM-SHA-512, but .*PLAIN|refused the login of "ada" by SCRAM-SHA-512)`},
		"no login":                       {keys{"brokers": guarded}, `^E-CONN \S+ closed the connection in place of an answer to Metadata: EOF \| does the broker want a login\? then give sasl`},
		"a login where none is taken": {
			keys{"brokers": plain, "sasl": login("PLAIN", "right-word")}, `^E-AUTH `,
		},
		"silence at the versions": {keys{"brokers": quiet(kmsg.ApiVersions), "connect_timeout": soon}, `^E-TIMEOUT \S+ did not answer the first request within 300ms`},
		"silence at the login": {
			keys{"brokers": quiet(kmsg.SASLHandshake, kfake.EnableSASL(), kfake.Superuser("PLAIN", "ada", "right-word")), "connect_timeout": soon, "sasl": login("PLAIN", "right-word")},
			`^E-TIMEOUT \S+ did not answer the login within 300ms`,
		},
		"silence at the password": {
			keys{"brokers": quiet(kmsg.SASLAuthenticate, kfake.EnableSASL(), kfake.Superuser("PLAIN", "ada", "right-word")), "connect_timeout": soon, "sasl": login("PLAIN", "right-word")},
			`^E-TIMEOUT \S+ did not answer the login within 300ms`,
		},
		"silence at the first question": {keys{"brokers": quiet(kmsg.Metadata), "request_timeout": soon}, `^E-TIMEOUT \S+ did not answer Metadata in time`},
		"silence at the message": {
			keys{"brokers": quiet(kmsg.Produce), "request_timeout": soon}, `^E-TIMEOUT \S+ did not answer Produce in time.* \| raise request_timeout .* \| whether the 1 message on the way to it were written is not known$`,
		},
		"no broker":          {keys{"brokers": " , "}, `^E-CONFIG brokers names no broker`},
		"no port":            {keys{"brokers": "localhost"}, `^E-CONFIG brokers "localhost" is not host:port`},
		"a number as broker": {keys{"brokers": 9092}, `^E-CONFIG brokers must be a text or a list, not 9092$`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			fault := w.fails("step", "publish", with(test.config, "topic", "orders", "value", "x"))
			if got := words(fault); !regexp.MustCompile(test.want).MatchString(got) {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
			if fault.Failed || strings.Contains(words(fault), "-word") {
				t.Errorf("got %s", words(fault))
			}
			// The next step is none the worse for it.
			do[published](w, "next", "publish", keys{"brokers": plain, "topic": "orders", "value": "x"})
		})
	}
}

func TestConnectionsThatWork(t *testing.T) {
	own := newAuthority(t)
	mutual, _ := broker(t, kfake.TLS(&tls.Config{Certificates: []tls.Certificate{own.pair}, ClientCAs: own.pool, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12}))
	plain, _ := broker(t)
	both, _ := broker(t, kfake.TLS(&tls.Config{Certificates: []tls.Certificate{own.pair}, MinVersion: tls.VersionTLS12}), kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-512", "ada", "right-word"))
	sasl := servertest.Value(t, "KAFKA_SASL_BROKERS")
	login := func(mechanism string) keys {
		return keys{"mechanism": mechanism, "username": "testmesh", "password": "testmesh-secret"}
	}
	tests := map[string]keys{
		"a text with commas, the first of which is down": {"brokers": "127.0.0.1:1, " + plain},
		"a list":               {"brokers": []string{"127.0.0.1:1", plain}},
		"PLAIN":                {"brokers": sasl, "sasl": login("PLAIN")},
		"SCRAM-SHA-256":        {"brokers": sasl, "sasl": login("SCRAM-SHA-256")},
		"SCRAM-SHA-512":        {"brokers": sasl, "sasl": login("SCRAM-SHA-512")},
		"TLS":                  {"brokers": servertest.Value(t, "KAFKA_TLS_BROKERS"), "tls": keys{"verify": false}},
		"a client certificate": {"brokers": mutual, "tls": keys{"ca": own.cert, "cert": own.cert, "key": own.key}},
		"a login over TLS":     {"brokers": both, "tls": keys{"ca": own.cert}, "sasl": keys{"mechanism": "SCRAM-SHA-512", "username": "ada", "password": "right-word"}},
	}
	for name, at := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			at = with(at, "topic", "works")
			do[created](w, "topic", "create_topic", at)
			do[subscribed](w, "sub", "subscribe", at)
			do[published](w, "place", "publish", with(at, "value", name))
			if got := do[expected](w, "seen", "expect", keys{"where": keys{"value": name}}); got.Count != 1 {
				t.Errorf("got %+v", got)
			}
		})
	}
}

// A broker names itself and the others by what it is configured to advertise,
// which is the most common reason why a client that reaches it cannot use it.
func TestABrokerThatAdvertisesWhatCannotBeReached(t *testing.T) {
	brokers, fake := broker(t)
	fake.ControlKey(int16(kmsg.Metadata), func(req kmsg.Request) (kmsg.Response, error, bool) {
		fake.KeepControl()
		res := req.ResponseKind().(*kmsg.MetadataResponse)
		b := kmsg.NewMetadataResponseBroker()
		b.NodeID, b.Host, b.Port = 7, "kafka.invalid", 29092
		topic := kmsg.NewMetadataResponseTopic()
		topic.Topic = kmsg.StringPtr("orders")
		p := kmsg.NewMetadataResponseTopicPartition()
		p.Leader = 7
		topic.Partitions = append(topic.Partitions, p)
		res.Brokers, res.Topics = append(res.Brokers, b), append(res.Topics, topic)
		return res, nil, true
	})
	w := newWorld(t)
	at := keys{"brokers": brokers, "topic": "orders", "request_timeout": "1s"}
	want := "E-DNS the name \"kafka.invalid\" does not resolve | check the host, and that this machine can resolve it | that is the address of broker 7, as " + brokers + " gives it: advertised.listeners of the broker must name what this machine can reach"
	for action, config := range map[string]keys{"publish": with(at, "value", "x"), "subscribe": at, "consume": at, "topics": {"brokers": brokers, "topic": "orders"}} {
		if got := words(w.fails("step", action, config)); !strings.HasPrefix(got, want) {
			t.Errorf("%s: got  %s\nwant %s", action, got, want)
		}
	}
}

func TestACallEndsWithItsContext(t *testing.T) {
	plain, _ := broker(t)
	quiet, fake := broker(t)
	var closed atomic.Bool
	for _, key := range []kmsg.Key{kmsg.Produce, kmsg.Fetch, kmsg.JoinGroup} {
		silence(fake, key, &closed)
	}
	dark := server(t, silent)
	tests := map[string]struct {
		action string
		config keys
	}{
		"while it connects":     {"publish", keys{"brokers": dark, "topic": "orders", "value": "x"}},
		"in a TLS handshake":    {"publish", keys{"brokers": dark, "tls": keys{}, "topic": "orders", "value": "x"}},
		"while it publishes":    {"publish", keys{"brokers": quiet, "topic": "orders", "value": "x"}},
		"while it consumes":     {"consume", keys{"brokers": plain, "topic": "orders", "within": "60s"}},
		"while nobody answers":  {"consume", keys{"brokers": quiet, "topic": "orders", "within": "60s"}},
		"while it joins":        {"consume", keys{"brokers": quiet, "topic": "orders", "within": "60s", "group_id": "g"}},
		"as member of a group":  {"consume", keys{"brokers": plain, "topic": "orders", "within": "60s", "group_id": "g"}},
		"with a registry":       {"publish", keys{"brokers": plain, "topic": "orders", "value": "x", "value_format": "avro", "schema_registry": keys{"url": "http://" + dark, "timeout": "60s"}}},
		"while it makes topics": {"create_topic", keys{"brokers": dark, "topic": "x"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			began := time.Now()
			_, err := w.try(ctx, "step", test.action, test.config)
			var fault *plugin.Error
			if !errors.As(err, &fault) || fault.Failed {
				t.Errorf("got %v, want it errored", err)
			}
			if took := time.Since(began); took > 1500*time.Millisecond {
				t.Errorf("it took %s", took)
			}
		})
	}
}
