package redis

import (
	"context"
	"strings"

	"github.com/testmesh/testmesh/sdk/plugin"
)

type commandIn struct {
	connecting
	Command    line `json:"command" doc:"The command: as redis-cli takes it, or as a list of its words, each a text, a number or {base64: …}. In a list a word may hold blanks and placeholders whatever they bring." example:"[HSET, user:1, name, Ada]"`
	AllowError bool `json:"allow_error,omitempty" doc:"Whether an error that Redis answers with is the result's error, for the flow to judge. Without, the step is errored."`
	reading
}

type commanded struct {
	Reply any     `json:"reply" doc:"What Redis answered: texts, numbers, true and false, null, lists (sets too) and maps."`
	Error *string `json:"error" doc:"The error that Redis answered with, in its words; null where it did not."`
}

func command(ctx context.Context, call *plugin.Call, in commandIn) (commanded, error) {
	args, err := words("command", in.Command)
	if err != nil {
		return commanded{}, err
	}
	if err := mayRun("command", args); err != nil {
		return commanded{}, err
	}
	p, err := poolOf(ctx, call, in.connecting)
	if err != nil {
		return commanded{}, err
	}
	ask := p.must
	if in.AllowError {
		ask = p.ask
	}
	a, err := ask(ctx, call, in.MaxBytes, args...)
	if err != nil {
		return commanded{}, err
	}
	if a.refusal != "" {
		words := string(a.refusal)
		return commanded{Error: &words}, nil
	}
	reply, err := in.reply(call, a, "the reply")
	return commanded{Reply: reply}, err
}

// mayRun refuses commands whose answer is not one answer, or that are about a
// connection which the next step need not have.
func mayRun(field string, args []any) error {
	name := commandName(args)
	hint, refused := map[string]string{
		"SUBSCRIBE": useSubscribe, "PSUBSCRIBE": useSubscribe, "SSUBSCRIBE": useSubscribe,
		"UNSUBSCRIBE": useSubscribe, "PUNSUBSCRIBE": useSubscribe, "SUNSUBSCRIBE": useSubscribe,
		"MULTI": useTransaction, "EXEC": useTransaction, "DISCARD": useTransaction, "WATCH": useTransaction, "UNWATCH": useTransaction,
		"SELECT": useDB, "AUTH": useLogin, "HELLO": useLogin,
		"MONITOR": "redis.subscribe sees what is published, SLOWLOG GET what was slow", "SYNC": isReplica, "PSYNC": isReplica, "REPLCONF": isReplica,
		"QUIT": "connections end with the run", "RESET": "connections end with the run",
	}[name]
	if name == "CLIENT" && len(args) > 1 && changesClient(strings.ToUpper(string(args[1].([]byte)))) {
		hint, refused = "it is about this connection alone, and the next step may have another", true
	}
	if refused {
		return plugin.Definitionf(field, "%s cannot be a step of its own", name).WithHint("%s", hint)
	}
	return nil
}

const (
	useSubscribe   = "redis.subscribe listens, and redis.expect looks at what came"
	useTransaction = "redis.transaction executes commands together, redis.watch begins earlier"
	useDB          = "the database stands in the connection: redis://host:6379/2, or db: 2"
	useLogin       = "user and password stand in the connection"
	isReplica      = "it is for replicas"
)

// changesClient: what of CLIENT changes the connection that it is sent on.
func changesClient(sub string) bool {
	switch sub {
	case "REPLY", "TRACKING", "CACHING", "SETNAME", "SETINFO", "NO-EVICT", "NO-TOUCH":
		return true
	}
	return false
}
