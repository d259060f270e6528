package plugin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"syscall"
)

// Egress says which hosts may be reached from a machine: the rules of its agent, which
// nobody else can change. A nil *Egress lets everything through.
//
// A rule is "allow TARGET" or "deny TARGET"; a target is a host name (*.example.com for
// all below it), an address, a network (10.0.0.0/8), "metadata" for the addresses where
// clouds tell machines their secrets, "unix" for sockets in the file system, or "*". A
// port or a range may follow: db.internal:5432, [2001:db8::1]:443, *:8000-8999. The
// first rule that fits decides; where none does, it is refused if any rule allows
// something, else allowed. Addresses are judged when they are dialled, after the name
// was resolved, so that no name leads to an address that is denied.
type Egress struct {
	rules []egressRule
	texts []string
	// closed: what no rule fits is refused.
	closed bool
}

type egressRule struct {
	allow    bool
	text     string
	any      bool
	unix     bool
	host     string // lower case; ".example.com" for all below
	prefixes []netip.Prefix
	from, to uint16 // ports; 0, 0: any
}

// metadata are the addresses at which clouds give machines credentials: of AWS, Azure,
// Google and others, of ECS, of Alibaba, and of AWS by IPv6; the wire server of Azure.
var metadata = []string{"169.254.0.0/16", "fd00:ec2::/32", "fe80::a9fe:a9fe/128", "100.100.100.200/32", "168.63.129.16/32"}

// NewEgress reads rules; none: nil.
func NewEgress(rules []string) (*Egress, error) {
	if len(rules) == 0 {
		return nil, nil
	}
	e := &Egress{}
	var problems []error
	for _, text := range rules {
		r, err := readEgress(text)
		if err != nil {
			problems = append(problems, fmt.Errorf("egress rule %q: %w", text, err))
			continue
		}
		e.rules, e.texts, e.closed = append(e.rules, r), append(e.texts, text), e.closed || r.allow
	}
	return e, errors.Join(problems...)
}

// Rules are as they were written; of a nil Egress none.
func (e *Egress) Rules() []string {
	if e == nil {
		return nil
	}
	return e.texts
}

func readEgress(text string) (r egressRule, err error) {
	words := strings.Fields(text)
	if len(words) != 2 || words[0] != "allow" && words[0] != "deny" {
		return r, errors.New("write it as allow TARGET, or deny TARGET")
	}
	r.allow, r.text = words[0] == "allow", text
	target, port := splitTarget(words[1])
	if port != "" {
		low, high, ranged := strings.Cut(port, "-")
		if !ranged {
			high = low
		}
		from, err1 := strconv.ParseUint(low, 10, 16)
		to, err2 := strconv.ParseUint(high, 10, 16)
		if err1 != nil || err2 != nil || from == 0 || to < from {
			return r, fmt.Errorf("%q is no port, and no range of ports", port)
		}
		r.from, r.to = uint16(from), uint16(to)
	}
	switch prefix, err := netip.ParsePrefix(target); {
	case target == "*":
		r.any = true
	case target == "unix":
		r.unix = true
	case target == "metadata":
		for _, one := range metadata {
			r.prefixes = append(r.prefixes, netip.MustParsePrefix(one))
		}
	case err == nil:
		r.prefixes = []netip.Prefix{prefix.Masked()}
	default:
		if address, err := netip.ParseAddr(target); err == nil {
			address = address.Unmap()
			r.prefixes = []netip.Prefix{netip.PrefixFrom(address, address.BitLen())}
			break
		}
		r.host = strings.ToLower(strings.TrimSuffix(target, "."))
		if rest, below := strings.CutPrefix(r.host, "*."); below {
			r.host = "." + rest
		}
		if r.host == "" || r.host == "." || strings.ContainsAny(r.host, "*/:[]@ ") {
			return r, fmt.Errorf("%q is no host, address or network", target)
		}
	}
	return r, nil
}

// splitTarget takes the port off a target; an IPv6 address has one only in brackets.
func splitTarget(text string) (target, port string) {
	if rest, ok := strings.CutPrefix(text, "["); ok {
		if address, after, ok := strings.Cut(rest, "]"); ok && (after == "" || after[0] == ':') {
			return address, strings.TrimPrefix(after, ":")
		}
		return text, ""
	}
	if at := strings.LastIndexByte(text, ':'); at >= 0 && strings.Count(text, ":") == 1 {
		return text[:at], text[at+1:]
	}
	return text, ""
}

func (r *egressRule) port(port uint16) bool { return r.to == 0 || port >= r.from && port <= r.to }

func (r *egressRule) names(host string) bool {
	if below, all := strings.CutPrefix(r.host, "."); all {
		return strings.HasSuffix(host, r.host) && host != below
	}
	return r.host != "" && host == r.host
}

func (r *egressRule) holds(address netip.Addr) bool {
	for _, p := range r.prefixes {
		if p.Contains(address) {
			return true
		}
	}
	return false
}

// refused is the fault of a step that is not let through.
func (e *Egress) refused(what, why string) *Error {
	return &Error{
		Code: CodeEgress, Blame: BlameAgent, Message: fmt.Sprintf("the agent does not let anything to %s: %s", what, why),
		Hint: "the rules are in the agent's own settings (egress); whoever runs it can change them, the control plane cannot",
	}
}

// address judges what is about to be dialled.
func (e *Egress) address(host string, address netip.Addr, port uint16) *Error {
	address = address.Unmap().WithZone("")
	what := net.JoinHostPort(address.String(), strconv.Itoa(int(port)))
	if host != "" && host != address.String() {
		what = host + " (" + what + ")"
	}
	for i := range e.rules {
		r := &e.rules[i]
		if r.unix || !r.port(port) || !r.any && !r.names(host) && !r.holds(address) {
			continue
		}
		if r.allow {
			return nil
		}
		return e.refused(what, r.text)
	}
	if e.closed {
		return e.refused(what, "no rule allows it")
	}
	return nil
}

// Dial connects as a dialer does, where the rules let it.
func (e *Egress) Dial(ctx context.Context, d *net.Dialer, network, address string) (net.Conn, error) {
	if e == nil {
		return d.DialContext(ctx, network, address)
	}
	if strings.HasPrefix(network, "unix") {
		for i := range e.rules {
			if r := &e.rules[i]; r.unix || r.any {
				if r.allow {
					return d.DialContext(ctx, network, address)
				}
				return nil, e.refused("the socket "+address, r.text)
			}
		}
		if e.closed {
			return nil, e.refused("the socket "+address, "no rule allows it")
		}
		return d.DialContext(ctx, network, address)
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	checked := *d
	before := d.ControlContext
	var said *Error // what the last address was refused for
	checked.ControlContext = func(ctx context.Context, network, resolved string, c syscall.RawConn) error {
		at, err := netip.ParseAddrPort(resolved)
		if err != nil {
			return fmt.Errorf("judge address %q: %w", resolved, err)
		}
		if refused := e.address(host, at.Addr(), at.Port()); refused != nil {
			said = refused
			return refused
		}
		if before != nil {
			return before(ctx, network, resolved, c)
		}
		return nil
	}
	if checked.FallbackDelay == 0 {
		checked.FallbackDelay = -1 // addresses one after the other, so that said is of one at a time
	}
	conn, err := checked.DialContext(ctx, network, address)
	if err != nil && said != nil {
		return nil, said
	}
	return conn, err
}

// DialContext is Dial as libraries want it.
func (e *Egress) DialContext(d *net.Dialer) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		return e.Dial(ctx, d, network, address)
	}
}

// Beyond judges a host that a proxy is asked for: this machine dials the proxy only, so
// the host's addresses are looked up here first.
func (e *Egress) Beyond(ctx context.Context, host, port string) error {
	if e == nil {
		return nil
	}
	n, err := net.DefaultResolver.LookupPort(ctx, "tcp", port)
	if err != nil {
		return err
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if address, err := netip.ParseAddr(host); err == nil {
		if refused := e.address("", address, uint16(n)); refused != nil {
			return refused
		}
		return nil
	}
	for i := range e.rules { // what its name decides needs no address
		r := &e.rules[i]
		if r.port(uint16(n)) && (r.any || r.names(host)) {
			if r.allow {
				return nil
			}
			return e.refused(net.JoinHostPort(host, port), r.text)
		}
		if len(r.prefixes) > 0 {
			break
		}
	}
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return e.refused(net.JoinHostPort(host, port), "its addresses are not known here, and a proxy would be asked for it: "+err.Error())
	}
	for _, address := range found {
		if refused := e.address(host, address, uint16(n)); refused != nil {
			return refused
		}
	}
	return nil
}

// BeyondURL is Beyond of the host of a URL.
func (e *Egress) BeyondURL(ctx context.Context, u *url.URL) error {
	if e == nil {
		return nil
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "ws": "80", "https": "443", "wss": "443"}[u.Scheme]
	}
	return e.Beyond(ctx, u.Hostname(), port)
}
