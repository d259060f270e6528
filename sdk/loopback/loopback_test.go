package loopback

import "testing"

func TestHost(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "localhost:7070": true, "mesh.localhost": true, "127.0.0.1": true, "127.8.9.1:80": true, "[::1]:7070": true, "[::1]": true, "::1": true,
		"": false, "0.0.0.0": false, "[::]:80": false, "10.0.0.1:7070": false, "example.com": false, "localhost.evil.example": false, "notlocalhost": false, "127.0.0.1.evil.example": false,
	} {
		if got := Host(host); got != want {
			t.Errorf("%q: %t, want %t", host, got, want)
		}
	}
}
