package redact

import (
	"fmt"
	"io"
	"strings"
	"testing"
)

// thirty is what an environment of a company holds.
func thirty(b *testing.B) *Masker {
	b.Helper()
	m := New()
	for i := range 30 {
		if err := m.Add(fmt.Sprintf("SECRET_%d", i), fmt.Sprintf("v%d-%s/+&=", i*7919, strings.Repeat("kQ9x", 2+i%8))); err != nil {
			b.Fatal(err)
		}
	}
	return m
}

var page = strings.Repeat(`{"id":17,"name":"Ada Lovelace","email":"ada@example.com","token":"eyJhbGciOiJIUzI1NiJ9","ok":true}`+"\n", 400)

func BenchmarkString(b *testing.B) {
	for name, m := range map[string]*Masker{"empty": New(), "30 secrets": thirty(b)} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(page)))
			for b.Loop() {
				m.String(page)
			}
		})
	}
}

func BenchmarkWriter(b *testing.B) {
	w := thirty(b).Writer(io.Discard)
	text := []byte(page)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := w.Write(text); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAddAndFirstUse(b *testing.B) {
	for name, value := range map[string]string{"token": strings.Repeat("aB3_", 10), "password": "pa55/w+rd&" + strings.Repeat("k", 20)} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				m := New()
				if err := m.Add("S", value); err != nil {
					b.Fatal(err)
				}
				m.String("x")
			}
		})
	}
}
