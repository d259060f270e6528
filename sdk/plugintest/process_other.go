//go:build !unix

package plugintest

import (
	"errors"
	"os/exec"
)

const canSignal = false

func ownGroup(*exec.Cmd) {}

func (p *process) killGroup() { _ = p.cmd.Process.Kill() }

var errNoSignals = errors.New("this system has neither signals nor a look into processes")

func (p *process) terminate() error { return errNoSignals }
func (p *process) interrupt() error { return errNoSignals }

func exists(int) bool { return false }

const canMeasure = false

func (p *process) left() []int { return nil }

func (p *process) usage() (usage, error) { return usage{}, errNoSignals }
