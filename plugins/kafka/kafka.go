// Package kafka is the plugin for Apache Kafka and what speaks its protocol: it
// publishes, consumes, waits for messages that it listens to, and makes and
// deletes topics. It speaks to brokers and schema registries only: it never makes
// a topic that nobody asked for, never sends again what may have been written,
// and takes nothing away from a topic but by a consumer group that the flow
// names.
package kafka

import "github.com/testmesh/testmesh/sdk/plugin"

// New makes the plugin.
func New() plugin.Plugin { return plugin.New(info(), parts()...) }

func info() plugin.Info {
	return plugin.Info{
		Name:    "kafka",
		Version: "1.0.0",
		Summary: "Apache Kafka: messages published, consumed and waited for; topics; Avro, Protobuf and JSON Schema by a schema registry.",
	}
}

func parts() []plugin.Part {
	return []plugin.Part{
		plugin.Action("publish", "Publish one message, or many.", publish,
			plugin.Once(),
			plugin.Description(publishDescription), plugin.Example(publishExample),
			plugin.Alias("kafka_publish", "kafka_produce", "kafka_producer", "kafka.produce"),
			plugin.KeyAlias("payload", "value"),
		),
		plugin.Action("subscribe", "Listen to topics in the background, from now on.", subscribe,
			plugin.Observes(),
			plugin.Description(subscribeDescription), plugin.Example(subscribeExample),
		),
		plugin.Action("expect", "Wait for messages among those that came since a subscription.", expect,
			plugin.Observes(),
			plugin.Description(expectDescription), plugin.Example(expectExample),
		),
		plugin.Action("consume", "Read messages of topics.", consume,
			plugin.When(`(group_id ?? "") == ""`, plugin.Observes()),
			plugin.Consumes(),
			plugin.Description(consumeDescription), plugin.Example(consumeExample),
			plugin.Alias("kafka_consume", "kafka_consumer"),
			plugin.KeyAlias("timeout", "within"), plugin.KeyAlias("auto_offset_reset", "start"),
		),
		plugin.Action("create_topic", "Make a topic, unless it is there.", createTopic,
			plugin.Idempotent(),
			plugin.Description(createDescription), plugin.Example(createExample),
		),
		plugin.Action("delete_topic", "Delete topics with all their messages.", deleteTopic,
			plugin.Removes(),
			plugin.Description(deleteDescription), plugin.Example(deleteExample),
		),
		plugin.Action("topics", "List topics with their partitions and offsets.", topics,
			plugin.Observes(),
			plugin.Description(topicsDescription), plugin.Example(topicsExample),
		),
	}
}

const (
	publishDescription = `Passes once the broker has acknowledged, and gives the partition and offset of each message. A text is written as
it is, everything else as JSON; ` + "`value: null`" + ` is a tombstone, an empty text is an empty value.

The key chooses the partition as Java's clients do it, so that a message goes where the service under test would put it.
Messages without a key take turns. The topic must exist: ` + "`kafka.create_topic`" + ` makes it.

What a broker refused because another one leads the partition is sent to that one. What may have been written is never
sent a second time: when a connection breaks before the answer, the step is errored and says so.`

	publishExample = `
- action: kafka.publish
  config:
    brokers: ${KAFKA_BROKERS}
    topic: orders.v1
    key: o-1
    value: {order_id: o-1, total: 12.50}
    headers: {source: testmesh}
  assert: [offset >= 0, count == 1]
`

	subscribeDescription = `Notes where every partition ends, and passes: what is written from then on is seen by ` + "`kafka.expect`" + `, whenever that
step comes. Nothing can come in between. It reads without a consumer group and takes nothing away, and ends with the run.
Partitions that topics get later are read from their beginning.`

	subscribeExample = `
- id: orders
  action: kafka.subscribe
  config: {brokers: "${KAFKA_BROKERS}", topic: orders.v1}
`

	expectDescription = `Looks at all that came since the subscription, also before this step, and waits for what is missing. It takes nothing
away: another step can look at the same messages. ` + "`where`" + ` is a pattern of a message (` + "`key`, `value`, `headers`, `topic`, `partition`, `offset`" + `).

When the time is over without the message the step fails, and shows how many came and the one that fits best. Before
that it makes sure that the brokers have nothing more; if they cannot be reached, the step is errored.`

	expectExample = `
- action: kafka.expect
  config:
    from: orders
    within: 10s
    where: {value: {order_id: o-1}}
  assert: ['messages[0].headers.source == "testmesh"']
`

	consumeDescription = `Reads from the end of the topic on, or from where ` + "`start`" + ` or ` + "`offset`" + ` says, until there are ` + "`count`" + ` messages that
` + "`where`" + ` describes; fewer within the time make the step fail. With ` + "`max_messages`" + ` it goes on until it has that many or the
time is over, and passes with ` + "`count`" + ` of them or more.

A consume from the end does not see what was written before it: for a message that an earlier step causes use
` + "`kafka.subscribe` and `kafka.expect`" + `.

With a ` + "`group_id`" + ` it is a member of that group for as long as the step takes, goes on where the group stopped, and commits
what it looked at when it passes.`

	consumeExample = `
- action: kafka.consume
  config:
    brokers: ${KAFKA_BROKERS}
    topic: orders.v1
    start: earliest
    count: 2
    where: {value: {type: created}}
`

	createDescription = `Passes once the topic can be written to, also where it was there before; not where it has another number of partitions
than asked for.`

	createExample = `
- action: kafka.create_topic
  config:
    brokers: ${KAFKA_BROKERS}
    topic: payments.v1
    partitions: 3
    configs: {retention.ms: 3600000}
`

	deleteDescription = `Passes once the topics are gone, also where they were not there.`

	deleteExample = `
- action: kafka.delete_topic
  config: {brokers: "${KAFKA_BROKERS}", topic: payments.v1}
`

	topicsDescription = "All topics but the brokers' own, or those of `topic`."

	topicsExample = `
- action: kafka.topics
  config: {brokers: "${KAFKA_BROKERS}", topic: orders.v1}
  assert: ['topics[0].messages == 2']
`
)
