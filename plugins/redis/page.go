package redis

// What the reference says of each action.
const (
	getDescription = `A key that is not there gives ` + "`exists: false`" + ` and the value null. ` + "`as: json`" + ` reads the value as JSON,
and a value that is none makes the step errored. What holds no text, a hash or a list, is read by ` + "`redis.command`" + `.`

	getExample = `
- action: redis.get
  config: {connection: "${REDIS_URL}", key: "user:1", as: json}
  assert: [exists, value.name == "Ada"]
`

	setDescription = `A text is stored as it is, anything else as JSON: what ` + "`redis.get`" + ` with ` + "`as: json`" + ` reads again.
Where ` + "`nx`" + ` or ` + "`xx`" + ` keep the key as it is, ` + "`stored`" + ` is false.`

	setExample = `
- action: redis.set
  config: {connection: "${REDIS_URL}", key: "user:1", value: {name: Ada}, ttl: 10m}
`

	delDescription = "Keys that are not there are no error: `deleted` counts those that were."

	delExample = `
- action: redis.del
  config: {connection: "${REDIS_URL}", keys: ["user:1", "user:2"]}
`

	existsDescription = "A step without assertions passes if all of the keys exist."

	existsExample = `
- action: redis.exists
  config: {connection: "${REDIS_URL}", key: "user:1"}
`

	commandDescription = `Types are those of Redis' own protocol (RESP3): numbers stay exact, doubles are numbers, maps are maps, sets are lists
in no order, null is null. An error within a list is ` + "`{error: …}`" + `. Commands that wait (BLPOP, XREAD BLOCK) wait as long
as the step may.

Commands that change their connection (SELECT, AUTH, SUBSCRIBE, MULTI, CLIENT REPLY) are refused: the next step may get
another connection.`

	commandExample = `
- action: redis.command
  config: {connection: "${REDIS_URL}", command: [HSET, "user:1", name, Ada, age, 36]}
  assert: [reply is integer]
`

	watchDescription = `The keys are watched on a connection of the run's own until ` + "`redis.transaction`" + ` with ` + "`from`" + ` uses it: it is
aborted if anybody has changed one of them since.`

	watchExample = `
- id: stock_watch
  action: redis.watch
  config: {connection: "${REDIS_URL}", keys: ["stock:1"]}
`

	transactionDescription = `Redis executes all of the commands, with nothing of others between them, or none. None, with ` + "`aborted: true`" + `, is when
a watched key was changed; a step without assertions fails then. A command that Redis does not even queue makes the step
errored, and nothing is executed. An error while they are executed is that command's alone: Redis takes nothing back.`

	transactionExample = `
- action: redis.transaction
  config:
    connection: "${REDIS_URL}"
    commands:
      - [SET, "stock:1", 5]
      - DECRBY stock:1 2
  assert: ['results == ["OK", 3]']
`

	xaddDescription = "Texts are stored as they are, anything else as JSON."

	xaddExample = `
- action: redis.xadd
  config: {connection: "${REDIS_URL}", stream: orders, fields: {type: created, order: {id: o1}}}
`

	xreadDescription = `Without ` + "`block`" + ` it gives what there is. To wait for an entry that another step causes, subscribe before that step:
` + "`redis.subscribe`" + ` with ` + "`streams`" + `.`

	xreadExample = `
- action: redis.xread
  config: {connection: "${REDIS_URL}", stream: orders, count: 10}
  assert: [count >= 1, 'entries[0].fields.type == "created"']
`

	xgroupDescription = "The words are those of XGROUP."

	xgroupExample = `
- action: redis.xgroup
  config: {connection: "${REDIS_URL}", subcommand: create, stream: orders, group: billing, id: "0", mkstream: true}
`

	xreadgroupDescription = "Entries are pending until `redis.xack` acknowledges them."

	xreadgroupExample = `
- action: redis.xreadgroup
  config: {connection: "${REDIS_URL}", group: billing, consumer: one, stream: orders, block: 2s}
  assert: [count == 1]
`

	xackDescription = "An entry that is not pending is no error: `acknowledged` counts those that were."

	xackExample = `
- action: redis.xack
  config: {connection: "${REDIS_URL}", stream: orders, group: billing, ids: ["1-1"]}
`

	publishDescription = "A text is sent as it is, anything else as JSON. Redis keeps no message: who does not listen does not get it."

	publishExample = `
- action: redis.publish
  config: {connection: "${REDIS_URL}", channel: orders, message: {id: o1}}
`

	subscribeDescription = `The step ends once Redis has confirmed every channel and pattern, or, of streams, once their last ids are known. From then
on everything is kept for ` + "`redis.expect`" + `, until the run ends. A subscription whose connection breaks is not made again,
because nobody knows what was missed: an ` + "`expect`" + ` of it is errored.`

	subscribeExample = `
- id: orders
  action: redis.subscribe
  config: {connection: "${REDIS_URL}", channels: [orders]}
`

	expectDescription = `It looks at all that came since the subscription, and takes nothing away. Where the messages do not come in time the step
fails, and says how many came and which was nearest. Before it says so, or that none came (` + "`absent`" + `), it has an answer
of Redis on the same connection, behind everything that was sent before.`

	expectExample = `
- action: redis.expect
  config: {from: orders, within: 5s, as: json, where: {message: {id: o1}}}
  assert: ['messages[0].channel == "orders"']
`
)
