package plugin

import (
	"context"
	"errors"
	"os"

	"github.com/spf13/cobra"
)

// Exit codes of a command that a signal ended, as shells give them.
const (
	exitInterrupted = 130
	exitTerminated  = 143
)

// interruptible ends a command's context with the first signal, which ends what
// it started; the second one ends the process at once.
func (t *tool) interruptible(run func(*cobra.Command, []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		ctx, cancel := context.WithCancel(cmd.Context())
		code := make(chan int, 1)
		ended := make(chan struct{})
		go t.listen(ended, func(c int) { code <- c; cancel() })
		cmd.SetContext(ctx)
		err := run(cmd, args)
		close(ended)
		cancel()
		select {
		case c := <-code:
			if err != nil {
				return &exit{code: c, err: errors.New("interrupted")}
			}
		default:
		}
		return err
	}
}

func (t *tool) listen(ended <-chan struct{}, first func(code int)) {
	for signals := 0; ; signals++ {
		select {
		case <-ended:
			return
		case s := <-t.Signals:
			code := exitInterrupted
			if s != os.Interrupt {
				code = exitTerminated
			}
			if signals > 0 {
				os.Exit(code)
			}
			first(code)
		}
	}
}
