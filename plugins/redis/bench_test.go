package redis

import (
	"encoding/json"
	"fmt"
	"testing"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/testmesh/testmesh/plugins/servertest"
	"github.com/testmesh/testmesh/sdk/plugin"
)

// BenchmarkGet is a step with redis.get beside the same by go-redis alone, on
// the real server: what is between the two is the plugin's.
func BenchmarkGet(b *testing.B) {
	o, err := goredis.ParseURL(servertest.Value(b, "REDIS_URL"))
	if err != nil {
		b.Fatal(err)
	}
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	c := goredis.NewClient(o)
	defer c.Close()
	const key, value = "test:BenchmarkGet", `{"id":"o1","total":59.80}`
	if err := c.Set(b.Context(), key, value, 0).Err(); err != nil {
		b.Fatal(err)
	}
	defer c.Del(b.Context(), key)
	b.Run("bare", func(b *testing.B) {
		for b.Loop() {
			if got, err := c.Get(b.Context(), key).Result(); err != nil || got != value {
				b.Fatal(got, err)
			}
		}
	})
	b.Run("step", func(b *testing.B) {
		p := New()
		defer p.Close()
		config := json.RawMessage(fmt.Sprintf(`{"connection":%q,"key":%q}`, servertest.Value(b, "REDIS_URL"), key))
		for b.Loop() {
			res, err := p.Execute(b.Context(), &plugin.Request{Action: "redis.get", RunID: "r", StepID: "s", Try: 1, Config: config}, nil)
			if err != nil || len(res.Result) < len(value) {
				b.Fatal(res, err)
			}
		}
	})
}
