package plugin

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
)

func egressOf(t *testing.T, texts ...string) *Egress {
	t.Helper()
	e, err := NewEgress(texts)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestTheFirstEgressRuleThatFitsDecides(t *testing.T) {
	tests := map[string]struct {
		rules   []string
		host    string
		address string
		allowed bool
	}{
		"nothing is said":                                  {nil, "x", "10.0.0.1:80", true},
		"what is denied is all that is":                    {[]string{"deny 10.0.0.0/8"}, "x", "11.0.0.1:80", true},
		"a network":                                        {[]string{"deny 10.0.0.0/8"}, "x", "10.1.2.3:80", false},
		"a network, as IPv6 writes IPv4":                   {[]string{"deny 10.0.0.0/8"}, "x", "[::ffff:10.1.2.3]:80", false},
		"an address":                                       {[]string{"deny 127.0.0.1"}, "localhost", "127.0.0.1:80", false},
		"an address of IPv6 with a port":                   {[]string{"deny [::1]:443"}, "x", "[::1]:443", false},
		"another port of it":                               {[]string{"deny [::1]:443"}, "x", "[::1]:80", true},
		"a zone does not hide an address":                  {[]string{"deny fe80::1"}, "x", "[fe80::1%eth0]:80", false},
		"one that is allowed closes all others":            {[]string{"allow api.internal"}, "evil.example", "10.0.0.1:80", false},
		"a host":                                           {[]string{"allow api.internal"}, "api.internal", "10.0.0.1:80", true},
		"a host below":                                     {[]string{"allow *.internal"}, "a.b.internal", "10.0.0.1:80", true},
		"the host itself is not below it":                  {[]string{"allow *.internal"}, "internal", "10.0.0.1:80", false},
		"a host that only ends so":                         {[]string{"allow *.internal"}, "evilinternal", "10.0.0.1:80", false},
		"ports of a range":                                 {[]string{"allow *:8000-8999"}, "x", "10.0.0.1:8500", true},
		"a port outside of it":                             {[]string{"allow *:8000-8999"}, "x", "10.0.0.1:9000", false},
		"the order counts: an exception before the rule":   {[]string{"allow 10.0.0.5", "deny 10.0.0.0/8", "allow *"}, "x", "10.0.0.5:80", true},
		"the order counts: after it, it is none":           {[]string{"deny 10.0.0.0/8", "allow 10.0.0.5"}, "x", "10.0.0.5:80", false},
		"a name that resolves to what is denied":           {[]string{"deny metadata", "allow *.example.com"}, "rebound.example.com", "169.254.169.254:80", false},
		"the addresses at which clouds tell secrets":       {[]string{"deny metadata"}, "x", "[fd00:ec2::254]:80", false},
		"metadata, and everything else is let through":     {[]string{"deny metadata"}, "x", "93.184.216.34:443", true},
		"capital letters are the same host":                {[]string{"allow API.Internal"}, "api.internal", "10.0.0.1:80", true},
		"sockets of the file system say nothing of others": {[]string{"allow unix"}, "x", "10.0.0.1:80", false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			e := egressOf(t, test.rules...)
			if e == nil {
				if !test.allowed {
					t.Error("no rules refuse nothing")
				}
				return
			}
			at := netip.MustParseAddrPort(test.address)
			fault := e.address(test.host, at.Addr(), at.Port())
			if (fault == nil) != test.allowed {
				t.Fatalf("got %v, want allowed %t", fault, test.allowed)
			}
			if fault != nil && (fault.Code != CodeEgress || fault.Blame != BlameAgent || fault.Failed) {
				t.Errorf("got the fault %+v", fault)
			}
		})
	}
}

func TestEgressRulesThatAreNone(t *testing.T) {
	for _, text := range []string{"", "allow", "permit *", "deny a b", "deny x:0", "deny x:80-70", "deny x:99999", "deny x:y", "deny *x", "deny http://x/", "deny a@b", "deny *."} {
		if _, err := NewEgress([]string{"deny metadata", text}); err == nil || !strings.Contains(err.Error(), "egress rule") {
			t.Errorf("%q: got %v", text, err)
		}
	}
	e := egressOf(t, "deny metadata", "allow *:443")
	if got := strings.Join(e.Rules(), ","); got != "deny metadata,allow *:443" {
		t.Errorf("got rules %s", got)
	}
	if got := (*Egress)(nil).Rules(); got != nil {
		t.Errorf("got %v of none", got)
	}
}

func listening(t *testing.T, network, address string) net.Listener {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
		}
	}()
	return l
}

func TestDialJudgesTheAddressThatIsDialled(t *testing.T) {
	tcp := listening(t, "tcp", "127.0.0.1:0").Addr().String()
	_, port, _ := net.SplitHostPort(tcp)
	unix := listening(t, "unix", filepath.Join(t.TempDir(), "s")).Addr().String()
	tests := map[string]struct {
		rules            []string
		network, address string
		allowed          bool
	}{
		"no rules":            {nil, "tcp", tcp, true},
		"allowed by its name": {[]string{"allow localhost"}, "tcp4", "localhost:" + port, true},
		"denied by the address its name leads to":  {[]string{"deny 127.0.0.0/8", "allow localhost"}, "tcp4", "localhost:" + port, false},
		"denied by its port":                       {[]string{"deny *:" + port}, "tcp", tcp, false},
		"a socket where everything may be reached": {[]string{"deny metadata"}, "unix", unix, true},
		"a socket where it is named":               {[]string{"allow unix"}, "unix", unix, true},
		"a socket that is denied":                  {[]string{"deny unix"}, "unix", unix, false},
		"a socket where only others are allowed":   {[]string{"allow localhost"}, "unix", unix, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			conn, err := egressOf(t, test.rules...).DialContext(&net.Dialer{})(t.Context(), test.network, test.address)
			if err == nil {
				_ = conn.Close()
			}
			var fault *Error
			if (err == nil) != test.allowed || err != nil && (!errors.As(err, &fault) || fault.Code != CodeEgress) {
				t.Errorf("got %v, want allowed %t", err, test.allowed)
			}
		})
	}
	if _, err := egressOf(t, "allow *").Dial(t.Context(), &net.Dialer{}, "tcp", "127.0.0.1:1"); err == nil || errors.As(err, new(*Error)) {
		t.Errorf("what is let through and not there is an error of the network: %v", err)
	}
}

func TestWhatAProxyIsAskedForIsJudgedToo(t *testing.T) {
	tests := map[string]struct {
		rules   []string
		url     string
		allowed bool
	}{
		"no rules":                               {nil, "http://169.254.169.254/", true},
		"an address":                             {[]string{"deny metadata"}, "http://169.254.169.254/latest", false},
		"a name that is allowed, without a look": {[]string{"allow nowhere.invalid:443"}, "https://nowhere.invalid/", true},
		"its other port":                         {[]string{"allow nowhere.invalid:443"}, "http://nowhere.invalid/", false},
		"a name that leads to what is denied":    {[]string{"deny 127.0.0.0/8", "deny ::1", "allow *"}, "http://localhost/", false},
		"a name that leads nowhere":              {[]string{"deny 127.0.0.0/8"}, "wss://nowhere.invalid/", false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			u, err := url.Parse(test.url)
			if err != nil {
				t.Fatal(err)
			}
			if err := egressOf(t, test.rules...).BeyondURL(context.Background(), u); (err == nil) != test.allowed {
				t.Errorf("got %v, want allowed %t", err, test.allowed)
			}
		})
	}
}
