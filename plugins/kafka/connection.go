package kafka

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"

	"github.com/testmesh/testmesh/sdk/plugin"
	"github.com/testmesh/testmesh/sdk/plugin/tlsclient"
)

// connection is where the brokers are and how to talk to them: the keys that
// every action has.
type connection struct {
	Brokers        texts             `json:"brokers" doc:"Addresses of brokers as host:port, a list or a text with commas. One that answers is enough: it names the others." example:"127.0.0.1:9092"`
	TLS            *tlsclient.Config `json:"tls" doc:"TLS to the brokers; {} trusts the authorities of this machine."`
	SASL           *login            `json:"sasl" doc:"How to log in."`
	ClientID       string            `json:"client_id" doc:"The name that the brokers know this client by." default:"testmesh"`
	ConnectTimeout time.Duration     `json:"connect_timeout" doc:"Limit of a connection to a broker with TLS and login." default:"10s"`
	RequestTimeout time.Duration     `json:"request_timeout" doc:"Limit of what a broker is asked, with the elections and moves that it takes." default:"30s"`
}

// login is the map sasl.
type login struct {
	Mechanism string            `json:"mechanism" doc:"How the password is shown." enum:"PLAIN|SCRAM-SHA-256|SCRAM-SHA-512" default:"PLAIN"`
	Username  string            `json:"username" minLength:"1" doc:"Name of the user."`
	Password  plugin.SecretText `json:"password" doc:"Its password."`
}

// texts is one text, several with commas, or a list of them.
type texts = plugin.Either[string, []string]

// listed are the texts without blanks around them.
func listed(t texts) []string {
	var all []string
	switch {
	case t.One != nil:
		all = strings.Split(*t.One, ",")
	case t.Other != nil:
		all = *t.Other
	}
	var out []string
	for _, one := range all {
		if one = strings.TrimSpace(one); one != "" {
			out = append(out, one)
		}
	}
	return out
}

// cluster is the run's connections to the brokers, opened by the first step that
// says so.
func (in *connection) cluster(ctx context.Context, call *plugin.Call) (*cluster, error) {
	brokers := listed(in.Brokers)
	if len(brokers) == 0 {
		return nil, plugin.Definitionf("brokers", "names no broker").WithHint("write host:port, or a list of them")
	}
	for _, address := range brokers {
		if _, port, err := net.SplitHostPort(address); err != nil || port == "" {
			return nil, plugin.Definitionf("brokers", "%q is not host:port", address).WithHint("Kafka's usual port is 9092")
		}
	}
	text, err := json.Marshal(in)
	if err != nil {
		return nil, fmt.Errorf("print the connection: %w", err)
	}
	// The same files of another folder are others.
	key := fmt.Sprintf("cluster:%x", sha256.Sum256(append(text, call.Dir()...)))
	return plugin.Keep(ctx, call, key, func() (*cluster, func() error, error) {
		d, err := in.dialer(call)
		if err != nil {
			return nil, nil, err
		}
		c := newCluster(d, brokers, in.RequestTimeout)
		return c, c.close, nil
	})
}

func (in *connection) dialer(call *plugin.Call) (*dialer, error) {
	d := &dialer{clientID: in.ClientID, timeout: in.ConnectTimeout, egress: call.Host().Egress}
	var err error
	if in.TLS != nil {
		if d.tls, err = in.TLS.Client(call, "tls", ""); err != nil {
			return nil, err
		}
	}
	if in.SASL != nil {
		d.user = in.SASL.Username
		if d.login, err = in.SASL.mechanism(); err != nil {
			return nil, plugin.Definitionf("sasl", "%s: %w", in.SASL.Mechanism, err)
		}
	}
	return d, nil
}

func (l *login) mechanism() (sasl.Mechanism, error) {
	switch l.Mechanism {
	case "SCRAM-SHA-256":
		return scram.Mechanism(scram.SHA256, l.Username, string(l.Password))
	case "SCRAM-SHA-512":
		return scram.Mechanism(scram.SHA512, l.Username, string(l.Password))
	}
	return plain.Mechanism{Username: l.Username, Password: string(l.Password)}, nil
}
