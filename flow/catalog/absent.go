package catalog

import "strings"

// Absent tells which plugin an unknown action belongs to: the one that is
// known to speak its protocol, also for the older names of its actions, else
// the part before the dot. It is empty where the plugin is there, or the name
// says nothing.
func (c *Catalog) Absent(action string) (plugin string) {
	plugin = knownPlugin(action)
	if plugin == "" {
		before, after, ok := strings.Cut(action, ".")
		if !ok || after == "" || !validName(before) {
			return ""
		}
		plugin = before
	}
	if c.Descriptor(plugin) != nil {
		return ""
	}
	return plugin
}

// Known tells whether TestMesh has a plugin of this name, in some build. The
// plugin xml is a program of its own, which is installed as everybody's are.
func Known(plugin string) bool {
	switch plugin {
	case "http", "graphql", "grpc", "sql", "kafka", "redis", "nats", "amqp", "mqtt",
		"websocket", "browser", "mock", "contract", "postman", "shell", "docker",
		"file", "mail":
		return true
	}
	return false
}

// knownPlugin maps an action to the plugin of TestMesh that has it. The names
// without a dot are those of the accepted dialects: their descriptors would
// say so, were they there.
func knownPlugin(action string) string {
	before, _, dotted := strings.Cut(action, ".")
	if dotted {
		switch before {
		case "postgresql", "postgres", "mysql", "mariadb", "sqlite", "database":
			return "sql"
		case "rabbitmq":
			return "amqp"
		case "ws":
			return "websocket"
		}
		if Known(before) {
			return before
		}
		return ""
	}
	switch action {
	case "http_request", "http":
		return "http"
	case "database_query", "db_query", "db_poll", "sql", "sql_query":
		return "sql"
	case "grpc_call", "grpc_stream", "grpc":
		return "grpc"
	case "graphql", "graphql_query":
		return "graphql"
	case "websocket", "browser", "kafka", "redis", "nats", "amqp", "mqtt", "shell", "docker", "mail":
		return action
	case "verify_contract_interaction":
		return "contract"
	}
	for _, prefix := range [...]string{"kafka", "redis", "mock_server", "contract", "docker", "browser", "websocket", "nats", "mqtt", "amqp"} {
		if strings.HasPrefix(action, prefix+"_") {
			return strings.TrimSuffix(prefix, "_server")
		}
	}
	return ""
}
