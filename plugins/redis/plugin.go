// Package redis is the plugin for Redis and what speaks its protocol: keys, any
// command, transactions, streams, and channels that are listened to from before
// the step that makes somebody publish. It never repeats a command by itself,
// never listens again behind a broken subscription's back, and never reads more
// of an answer than it was told to.
package redis

import (
	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// New makes the plugin.
func New() plugin.Plugin {
	// What go-redis would print to standard error is in its errors, too.
	goredis.SetLogger(&logging.VoidLogger{})
	return plugin.New(plugin.Info{
		Name: "redis", Version: "1.0.0",
		Summary: "Redis: keys, any command, transactions, streams, and channels without a race.",
	},
		plugin.Action("get", "Read a key.", get,
			plugin.Observes(), plugin.Alias("redis_get"), plugin.BodyKey("value"),
			plugin.Description(getDescription), plugin.Example(getExample)),
		plugin.Action("set", "Write a key.", set,
			plugin.When("nx == true", plugin.Once()), plugin.When("config.get == true", plugin.Once()), plugin.Idempotent(),
			plugin.Alias("redis_set"), plugin.Expect("stored"),
			plugin.Description(setDescription), plugin.Example(setExample)),
		plugin.Action("del", "Remove keys.", del,
			plugin.Idempotent(), plugin.Alias("redis_del"),
			plugin.Description(delDescription), plugin.Example(delExample)),
		plugin.Action("exists", "See whether keys exist.", exists,
			plugin.Observes(), plugin.Alias("redis_exists"), plugin.Expect("exists"),
			plugin.Description(existsDescription), plugin.Example(existsExample)),
		plugin.Action("command", "Execute any command.", command,
			append(commandEffects(), plugin.BodyKey("reply"),
				plugin.Description(commandDescription), plugin.Example(commandExample))...),
		plugin.Action("watch", "Watch keys for a transaction.", watch,
			plugin.Observes(), plugin.Description(watchDescription), plugin.Example(watchExample)),
		plugin.Action("transaction", "Execute commands together (MULTI and EXEC).", transaction,
			plugin.Once(), plugin.Expect("not aborted"),
			plugin.Description(transactionDescription), plugin.Example(transactionExample)),
		plugin.Action("xadd", "Add an entry to a stream.", xadd,
			plugin.Once(), plugin.Description(xaddDescription), plugin.Example(xaddExample)),
		plugin.Action("xread", "Read entries of streams.", xread,
			plugin.Observes(), plugin.Description(xreadDescription), plugin.Example(xreadExample)),
		plugin.Action("xgroup", "Make, move or remove a group of consumers.", xgroup,
			plugin.When(`subcommand in ["destroy", "setid", "createconsumer"]`, plugin.Idempotent()),
			plugin.When("if_absent == true", plugin.Idempotent()), plugin.Once(),
			plugin.Description(xgroupDescription), plugin.Example(xgroupExample)),
		plugin.Action("xreadgroup", "Read entries of streams as a consumer of a group.", xreadgroup,
			plugin.Consumes(), plugin.Description(xreadgroupDescription), plugin.Example(xreadgroupExample)),
		plugin.Action("xack", "Acknowledge entries of a group.", xack,
			plugin.Idempotent(), plugin.Description(xackDescription), plugin.Example(xackExample)),
		plugin.Action("publish", "Send a message to a channel.", publish,
			plugin.Once(), plugin.Description(publishDescription), plugin.Example(publishExample)),
		plugin.Action("subscribe", "Listen to channels or streams from now on.", subscribe,
			plugin.Observes(), plugin.Description(subscribeDescription), plugin.Example(subscribeExample)),
		plugin.Action("expect", "Wait for messages of a subscription.", expect,
			plugin.Observes(), plugin.Description(expectDescription), plugin.Example(expectExample)),
	)
}
