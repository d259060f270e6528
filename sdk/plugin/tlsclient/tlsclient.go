// Package tlsclient is TLS as the config of an action describes it: the keys of
// a map `tls`, the same in every protocol, what they mean for a client, and the
// words for a handshake that failed. It opens no connections.
package tlsclient

import (
	"crypto/tls"
	"crypto/x509"
	"strings"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// maxPEM bounds a file of certificates; a system's whole list of authorities is
// about 200 KiB.
const maxPEM = 1 << 20

// Config is the map `tls` of a config.
type Config struct {
	Verify     bool              `json:"verify" doc:"Whether the server's certificate is checked." default:"true"`
	CAFile     plugin.File       `json:"ca_file,omitempty" doc:"PEM file of the authorities to trust instead of the system's."`
	CA         string            `json:"ca,omitempty" doc:"The same as text."`
	CertFile   plugin.File       `json:"cert_file,omitempty" doc:"PEM file of the client certificate."`
	KeyFile    plugin.File       `json:"key_file,omitempty" doc:"PEM file of its key."`
	Cert       string            `json:"cert,omitempty" doc:"The client certificate as PEM text."`
	Key        plugin.SecretText `json:"key,omitempty" doc:"Its key as PEM text."`
	ServerName string            `json:"server_name,omitempty" doc:"Name for SNI and the certificate's check; the host by default."`
	MinVersion string            `json:"min_version" doc:"Lowest version accepted." enum:"1.0|1.1|1.2|1.3" default:"1.2"`
}

// Client reads the files that the settings name and gives the settings of a
// client of host, which is without a port. field is where they stand in the
// action's config: "tls". The zero Config checks nothing; where a flow leaves
// `tls` out use Default.
func (c *Config) Client(call *plugin.Call, field, host string) (*tls.Config, error) {
	out := &tls.Config{ServerName: host, InsecureSkipVerify: !c.Verify} //nolint:gosec // asked for by the flow
	if c.ServerName != "" {
		out.ServerName = c.ServerName
	}
	out.MinVersion = map[string]uint16{"1.0": tls.VersionTLS10, "1.1": tls.VersionTLS11, "1.3": tls.VersionTLS13}[c.MinVersion]
	if out.MinVersion == 0 {
		out.MinVersion = tls.VersionTLS12
	}
	authorities, err := pem(call, field+".ca", c.CAFile, c.CA)
	if err != nil {
		return nil, err
	}
	if authorities != "" {
		out.RootCAs = x509.NewCertPool()
		if !out.RootCAs.AppendCertsFromPEM([]byte(authorities)) {
			return nil, plugin.Definitionf(field+".ca", "holds no certificate in PEM").WithHint("it begins with -----BEGIN CERTIFICATE-----")
		}
	}
	pair, err := c.certificate(call, field)
	if err != nil || pair == nil {
		return out, err
	}
	// Given in any case: the default sends none where the server's list of
	// authorities does not name the issuer, and the flow asked for this one.
	out.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return pair, nil }
	return out, nil
}

// Default are the settings where a flow says nothing: the system's authorities,
// the certificate checked.
func Default() *Config { return &Config{Verify: true, MinVersion: "1.2"} }

// certificate is the client's own, nil where the flow gives none.
func (c *Config) certificate(call *plugin.Call, field string) (*tls.Certificate, error) {
	cert, err := pem(call, field+".cert", c.CertFile, c.Cert)
	if err != nil {
		return nil, err
	}
	key, err := pem(call, field+".key", c.KeyFile, string(c.Key))
	if err != nil || cert == "" && key == "" {
		return nil, err
	}
	if cert == "" || key == "" {
		return nil, plugin.Definitionf(field, "a client certificate needs both, the certificate and its key").WithHint("give cert_file and key_file, or cert and key")
	}
	pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
	if err != nil {
		return nil, plugin.Definitionf(field, "the client certificate or its key: %s", strings.TrimPrefix(err.Error(), "tls: ")).WithHint("both are PEM, and belong together")
	}
	return &pair, nil
}

// pem is the text of a key, or of the file that the key with _file names.
func pem(call *plugin.Call, field string, file plugin.File, given string) (string, error) {
	if file == "" {
		return given, nil
	}
	if given != "" {
		return "", plugin.Definitionf(field, "is given beside %s_file: keep one of them", field)
	}
	data, err := call.ReadFile(file, maxPEM)
	return string(data), err
}
