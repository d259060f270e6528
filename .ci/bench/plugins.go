package main

import (
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"time"
)

// plugins is what a plugin in a process of its own costs, beside the same
// program that starts and ends, and the same call over gRPC alone. Go's own
// benchmarks measure it; the others of the table know nothing of plugins.
func (b *bench) plugins() error {
	const pkg = "./agent/pluginhost/process"
	text, err := exec.Command("go", "test", "-run", "^$", "-bench", "^Benchmark(Start|Call)(Floor)?$", "-benchtime", "2s", pkg).CombinedOutput()
	if err != nil {
		return fmt.Errorf("measure plugins: %w\n%s", err, tail(string(text)))
	}
	took := map[string]time.Duration{}
	line := regexp.MustCompile(`(?m)^Benchmark(\w+?)(?:-\d+)?\s+\d+\s+([\d.]+) ns/op(?:\s+([\d.]+) ms/start)?`)
	for _, m := range line.FindAllStringSubmatch(string(text), -1) {
		unit, value := 1.0, m[2]
		if m[3] != "" { // of a start alone, without the end
			unit, value = 1e6, m[3]
		}
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return err
		}
		took[m[1]] = time.Duration(n * unit)
	}
	for _, name := range []string{"Start", "StartFloor", "Call", "CallFloor"} {
		if took[name] == 0 {
			return fmt.Errorf("measure plugins: no figure for %s in\n%s", name, tail(string(text)))
		}
	}
	first, floor := took["Start"], took["StartFloor"]
	b.row("plugin, first use (bare start)", ms(first), ms(floor), over(first, floor), "< 50 ms", first < 50*time.Millisecond)
	call, bare := took["Call"], took["CallFloor"]
	b.row("plugin, a call (bare gRPC)", us(call), us(bare), over(call, bare), "< 200 µs", call < 200*time.Microsecond)
	return nil
}
