package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// isTimeout tells whether a time limit ended an operation.
func isTimeout(err error) bool {
	var timeout net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) ||
		errors.As(err, &timeout) && timeout.Timeout()
}

// isClosed tells whether the other side ended a connection.
func isClosed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// isPassing tells whether what failed may work a moment later, with the answer of
// another broker or after an election: nothing was done by the one that said so.
func isPassing(err error) bool {
	var code kafkago.Error
	if !errors.As(err, &code) {
		return false
	}
	switch code {
	case kafkago.UnknownTopicOrPartition, kafkago.LeaderNotAvailable, kafkago.NotLeaderForPartition,
		kafkago.ReplicaNotAvailable, kafkago.BrokerNotAvailable, kafkago.KafkaStorageError,
		kafkago.FencedLeaderEpoch, kafkago.UnknownLeaderEpoch, kafkago.OffsetNotAvailable,
		kafkago.GroupLoadInProgress, kafkago.GroupCoordinatorNotAvailable, kafkago.NotCoordinatorForGroup,
		kafkago.NotController, kafkago.ReassignmentInProgress:
		return true
	}
	return false
}

// codeFault gives the error code of a broker its words: what was tried, in the
// form "write to partition 3 of orders.v1".
func codeFault(code int16, tried string, args ...any) *plugin.Error {
	err := kafkago.Error(code)
	e := plugin.Errorf(plugin.CodeReply, "%s: the broker says %s (%d)", fmt.Sprintf(tried, args...), title(err), code)
	e.Cause = err
	switch err {
	case kafkago.UnknownTopicOrPartition:
		e.Hint = "check the name; kafka.create_topic makes topics"
	case kafkago.MessageSizeTooLarge, kafkago.RecordListTooLarge:
		e.Hint = "send less, or raise max.message.bytes of the topic"
	case kafkago.TopicAuthorizationFailed, kafkago.GroupAuthorizationFailed, kafkago.ClusterAuthorizationFailed:
		e.Code = plugin.CodeAuth
		e.Hint = "give the user of sasl that right, or use another user"
	case kafkago.InvalidTopic:
		e.Hint = "a name has up to 249 letters, digits, dots, underscores and hyphens"
	case kafkago.NotEnoughReplicas, kafkago.NotEnoughReplicasAfterAppend:
		e.Hint = "a broker is down: start it, or lower min.insync.replicas"
	case kafkago.LeaderNotAvailable, kafkago.NotLeaderForPartition, kafkago.BrokerNotAvailable:
		e.Hint = "a broker is down or an election goes on: look into the brokers' log"
	case kafkago.GroupCoordinatorNotAvailable, kafkago.GroupLoadInProgress, kafkago.NotCoordinatorForGroup:
		e.Hint = "the broker that leads the group is not ready: look into the brokers' log"
	case kafkago.InvalidReplicationFactor:
		e.Hint = "it cannot be larger than the number of brokers"
	case kafkago.InconsistentGroupProtocol:
		e.Hint = "the members of the group share no assignor: use another group_id"
	}
	return e
}

// title is an error code in words.
func title(err kafkago.Error) string {
	if name := err.Title(); name != "" {
		return name
	}
	return "error"
}

// requestFault describes a request to a broker that was connected and did not
// answer it.
func requestFault(err error, address, what string, login bool) error {
	var known *plugin.Error
	var foreign *foreignError
	switch {
	case err == nil, errors.As(err, &known), errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &foreign):
		return plugin.Errorf(plugin.CodeProtocol, "%s gave an answer to %s that is none: %s", address, what, foreign)
	case isTimeout(err):
		return plugin.Errorf(plugin.CodeTimeout, "%s did not answer %s in time: %w", address, what, err).WithHint("raise request_timeout or the step's timeout, or find out why the broker is slow")
	case isClosed(err):
		hint := "look into the broker's log"
		if !login {
			hint = "does the broker want a login? then give sasl; else look into its log"
		}
		return plugin.Errorf(plugin.CodeConn, "%s closed the connection in place of an answer to %s: %w", address, what, err).WithHint("%s", hint)
	}
	return plugin.NetError(err, address)
}
