//go:build !linux

package process

// capabilities are what this machine lets a host do to its plugins: nothing
// beyond what every system does.
type capabilities struct{}

func (*capabilities) mayIsolate() bool { return false }
func (*capabilities) noIsolation()     {}

// guard bounds nothing here.
type guard struct{}

func (*capabilities) guard(int, command, func()) guard { return guard{} }

func (guard) release() bool { return false }

func isDenied(error) bool { return false }

func guardRuntime(string) (dismiss func()) { return func() {} }

func endMarked(string)    {}
func removeGroups(string) {}
