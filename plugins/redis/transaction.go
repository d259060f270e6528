package redis

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/testmesh/testmesh/sdk/plugin"
)

type watchIn struct {
	connecting
	Keys []string `json:"keys" doc:"Names of the keys that nobody else may change." minItems:"1" maxItems:"1000"`
}

type watching struct {
	Watching int `json:"watching" doc:"How many keys are watched."`
}

// watched is a connection that watches keys until a transaction ends it.
type watched struct {
	pool *pool
	conn *conn
}

const watchKey = "watch:"

func watch(ctx context.Context, call *plugin.Call, in watchIn) (watching, error) {
	p, err := poolOf(ctx, call, in.connecting)
	if err != nil {
		return watching{}, err
	}
	if err := plugin.Drop(call, watchKey+call.StepID()); err != nil { // of an earlier try or round
		return watching{}, err
	}
	_, err = plugin.Keep(ctx, call, watchKey+call.StepID(), func() (*watched, func() error, error) {
		c, err := p.take(ctx, call)
		if err == nil {
			err = p.watch(ctx, call, c, in.Keys)
		}
		if err != nil {
			return nil, nil, err
		}
		return &watched{p, c}, func() error { c.close(); return nil }, nil
	})
	return watching{len(in.Keys)}, err
}

// watch closes the connection where it does not come about.
func (p *pool) watch(ctx context.Context, call *plugin.Call, c *conn, keys []string) error {
	args := []any{"WATCH"}
	for _, key := range keys {
		args = append(args, key)
	}
	began := time.Now()
	a, err := c.ask(ctx, maxCounted, args)
	if call.WantsExchange() {
		call.Exchange(p.exchange(args, a, err, began))
	}
	switch {
	case err != nil:
		err = p.target.commandFault(ctx, err, "WATCH", began)
	case a.refusal != "":
		err = a.refusal.fault(p.target.address, "WATCH")
	default:
		return nil
	}
	c.close()
	return err
}

type transactionIn struct {
	Connection plugin.Either[string, server] `json:"connection,omitempty" doc:"Where Redis is, as for every action; left out with from."`
	From       string                        `json:"from,omitempty" doc:"Id of a step with redis.watch: the transaction is aborted if one of its keys has changed since."`
	Watch      []string                      `json:"watch,omitempty" doc:"Names of keys to watch from the beginning of this step on." maxItems:"1000"`
	Commands   []line                        `json:"commands" doc:"The commands, each as redis.command takes it." minItems:"1" maxItems:"1000"`
	AllowError bool                          `json:"allow_error,omitempty" doc:"Whether a command that Redis answers with an error gives {error: …} among the results. Without, the step is errored."`
	reading
}

type transacted struct {
	Results []any `json:"results" doc:"What Redis answered to each command."`
	Aborted bool  `json:"aborted" doc:"Whether nothing was executed, because a watched key had changed."`
}

func transaction(ctx context.Context, call *plugin.Call, in transactionIn) (transacted, error) {
	batch, err := in.batch()
	if err != nil {
		return transacted{}, err
	}
	p, c, done, err := in.conn(ctx, call)
	if err != nil {
		return transacted{}, err
	}
	defer done()
	began := time.Now()
	queued, exec, err := c.execute(ctx, in.MaxBytes, batch)
	if call.WantsExchange() {
		x := p.exchange([]any{"MULTI"}, exec, err, began)
		x.Request = shown(map[string]any{"commands": lists(batch)})
		x.Summary = strings.Replace(x.Summary, "MULTI", "MULTI … EXEC", 1)
		call.Exchange(x)
	}
	switch {
	case err != nil:
		return transacted{}, p.target.commandFault(ctx, err, "the transaction", began)
	case queued != nil:
		return transacted{}, queued.refusal.fault(p.target.address, queued.name)
	case exec.refusal != "":
		return transacted{}, exec.refusal.fault(p.target.address, "EXEC")
	case exec.value == nil:
		return transacted{Aborted: true}, nil
	}
	return in.results(call, p, exec, batch)
}

// refused is a command that was not taken into a transaction.
type refused struct {
	name    string
	refusal refusal
}

// execute sends commands as a transaction: MULTI alone, since without it Redis
// would execute the others at once, and those in one go. An answer of EXEC that
// is null says that it was aborted.
func (c *conn) execute(ctx context.Context, limit int64, batch [][]any) (*refused, answer, error) {
	begun, err := c.ask(ctx, limit, []any{"MULTI"})
	if err != nil || begun.refusal != "" {
		return &refused{"MULTI", begun.refusal}, answer{}, err
	}
	pipe := c.client.Pipeline()
	for _, args := range append(batch, []any{"EXEC"}) {
		_ = pipe.Process(ctx, goredis.NewCmd(ctx, args...)) // which is sent by Exec
	}
	var all []goredis.Cmder
	err = c.run(ctx, func() (err error) { all, err = pipe.Exec(ctx); return err })
	if _, answered := refusalOf(err); err != nil && !answered && !errors.Is(err, goredis.Nil) {
		return nil, answer{}, err
	}
	exec := answer{cut: c.net.cut}
	for i, cmd := range all {
		r, is := refusalOf(cmd.Err())
		switch {
		case i == len(batch):
			exec.refusal, exec.value = r, cmd.(*goredis.Cmd).Val()
		case is:
			return &refused{commandName(batch[i]), r}, exec, nil
		}
	}
	return nil, exec, nil
}

// batch are the commands, word by word.
func (in *transactionIn) batch() ([][]any, error) {
	var batch [][]any
	for i, l := range in.Commands {
		field := "commands[" + strconv.Itoa(i) + "]"
		args, err := words(field, l)
		if err == nil {
			err = mayRun(field, args)
		}
		if err != nil {
			return nil, err
		}
		batch = append(batch, args)
	}
	return batch, nil
}

// conn is the connection to use, with what to do with it afterwards.
func (in *transactionIn) conn(ctx context.Context, call *plugin.Call) (*pool, *conn, func(), error) {
	given := in.Connection.One != nil || in.Connection.Other != nil
	switch {
	case in.From != "" && (given || len(in.Watch) > 0):
		return nil, nil, nil, plugin.Definitionf("from", "is given beside connection or watch, which that step has: leave them out")
	case in.From != "":
		w, ok := plugin.Kept[*watched](call, watchKey+in.From)
		if !ok {
			return nil, nil, nil, unknown(call, in.From, watchKey, "redis.watch")
		}
		return w.pool, w.conn, func() { _ = plugin.Drop(call, watchKey+in.From) }, nil
	case !given:
		return nil, nil, nil, plugin.Definitionf("connection", "is missing").WithHint("write connection: redis://127.0.0.1:6379, or from: a step with redis.watch")
	}
	p, err := poolOf(ctx, call, connecting{in.Connection})
	if err != nil {
		return nil, nil, nil, err
	}
	c, err := p.take(ctx, call)
	if err == nil && len(in.Watch) > 0 {
		err = p.watch(ctx, call, c, in.Watch)
	}
	if err != nil {
		return nil, nil, nil, err
	}
	return p, c, func() { p.give(c) }, nil
}

// results are those of EXEC.
func (in *transactionIn) results(call *plugin.Call, p *pool, exec answer, batch [][]any) (transacted, error) {
	list, ok := exec.value.([]any)
	if !ok || len(list) != len(batch) {
		return transacted{}, plugin.Errorf(plugin.CodeProtocol, "%s did not answer EXEC with a list of %d", p.target.address, len(batch))
	}
	for i, one := range list {
		if err, is := one.(error); is && !in.AllowError {
			r, _ := refusalOf(err)
			return transacted{}, r.fault(p.target.address, commandName(batch[i])+" in a transaction").
				WithDetails("the other commands were executed: Redis takes nothing back", "allow_error: true gives the error among the results")
		}
	}
	reply, err := in.reply(call, exec, "the result")
	if err != nil {
		return transacted{}, err
	}
	return transacted{Results: reply.([]any)}, nil
}

func lists(batch [][]any) []any {
	out := make([]any, len(batch))
	for i, args := range batch {
		out[i] = shownArgs(args)
	}
	return out
}
