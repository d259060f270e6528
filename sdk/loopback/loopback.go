// Package loopback knows the names by which a machine asks itself. What is served to
// this machine alone must not be read by a page of elsewhere whose name points here.
package loopback

import (
	"net"
	"strings"
)

// Host says whether a host, with or without a port, is this machine by a name that
// nobody else can have: localhost, a name below it (RFC 6761 section 6.3), or an address
// of the loopback interface.
func Host(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.Trim(host, "[]")
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
