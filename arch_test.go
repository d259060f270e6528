// Package testmesh holds no code: its tests are the rules that every package of
// the product keeps. Changing a table here is a decision about the architecture
// (see ARCHITECTURE.md), never the repair of a red test.
package testmesh

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

const module = "github.com/testmesh/testmesh/"

// mayImport says which of our packages a package may import. A key that ends in
// a slash holds for everything below it; the longest key that fits decides; a
// value allows a package and everything below it. What is not listed here is
// not part of the product, and the test says so.
var mayImport = map[string][]string{
	"proto/": {"proto"},

	// The language. Pure: see TestPureTrees.
	"flow":  {"proto", "flow"},
	"flow/": {"proto", "flow"},

	// What the authors of plugins and of API clients link: never the language.
	"sdk/plugin":     {"proto"},
	"sdk/plugin/":    {"proto", "sdk/plugin"},
	"sdk/plugintest": {"proto", "sdk/plugin", "sdk/redact"},
	"sdk/client":     {"proto"},
	"sdk/redact":     {},
	"sdk/setting":    {}, // one table of settings: file, environment, flags, reference page
	"sdk/fault":      {}, // failpoints of test builds, of both the control plane and the agent
	"sdk/systemd":    {}, // what a service tells its manager, of both too
	"sdk/loopback":   {}, // who asks is this machine itself

	// The three parts meet on the wire, never in the source. The root of a part
	// wires its leaves; a leaf imports no sibling, it declares what it reads.
	"controlplane":  {"proto", "flow", "sdk", "controlplane"},
	"controlplane/": {"proto", "flow", "sdk"},
	"agent":         {"proto", "flow", "sdk", "agent"},
	"agent/":        {"proto", "flow", "sdk"},
	// Apart from its root, so that what starts no plugin links no gRPC.
	// The command line of an agent, the same in both programs: it wires the agent.
	"agent/command":            {"proto", "flow", "sdk", "agent"},
	"agent/pluginhost/process": {"proto", "sdk", "agent/pluginhost"},
	"plugins":                  {"proto", "sdk", "plugins"},
	"plugins/": {
		"proto", "sdk",
		"flow/jsonpath", "flow/match", "flow/schema", "flow/value", "flow/mock", "flow/contract", "flow/convert/postman",
	},
	"plugins/descriptor": {"proto"},
	"plugins/servertest": {}, // where the real servers of the tests are

	"cli":  {"proto", "flow", "sdk", "agent", "cli"},
	"cli/": {"proto", "flow", "sdk", "agent"},
	"ui":   {},

	"cmd/testmesh":       {"proto", "flow", "sdk", "controlplane", "agent", "plugins", "cli", "ui", "examples/demo", "examples/plugins/checkdigit", "cmd/testmesh/whole"},
	"cmd/testmesh/whole": {},
	"cmd/testmesh-agent": {"proto", "flow", "sdk", "agent", "plugins"},

	// A binary of its own, because libxml2 comes by cgo.
	"cmd/testmesh-plugin-xml": {"proto", "sdk", "flow/schema"},

	"examples/demo":     {"proto", "sdk/client", "examples/demo/proto"},
	"examples/demo/":    {}, // generated: the services of the application
	"examples/plugins/": {"proto", "sdk"},
	"e2e":               {"proto", "sdk/client"},
	"e2e/chaos":         {"proto", "sdk/client"},
	"e2e/servers/":      {}, // real servers that no package manager has
	"packaging":         {}, // files; its tests hold them against what the programs say
	"packaging/":        {"proto", "sdk/client"},
}

// testsMayImport is what _test.go files may import beyond their package's row:
// the conformance kit and the servers that a plugin is tried against.
var testsMayImport = map[string][]string{
	"plugins":  {"flow/catalog"},
	"plugins/": {"sdk/plugintest", "examples/demo", "plugins/servertest"},
	"e2e":      {"plugins/servertest"},
	// The API is tried on a whole node, as its callers meet it.
	"controlplane/api": {"controlplane"},
	"agent/":           {"plugins", "examples/demo"},
	"packaging":        {"agent/command", "cli/mesh", "sdk/setting"},
	"cli":              {"plugins", "examples/demo"},
	"cli/":             {"plugins", "examples/demo"},
}

// pkg is the part of `go list -json` that the rules read.
type pkg struct {
	ImportPath, Dir, Name     string
	GoFiles                   []string
	TestGoFiles, XTestGoFiles []string
	Imports, Deps             []string
	TestImports, XTestImports []string
	Standard                  bool
	Module                    *struct{ Path string }
}

// rel is the import path without the module's.
func (p pkg) rel() string { return strings.TrimPrefix(p.ImportPath, module) }

// isRoot says whether p is the package of these tests.
func (p pkg) isRoot() bool { return p.ImportPath == strings.TrimSuffix(module, "/") }

// packages lists the module's packages once for all rules. It looks at every
// folder itself first: go test keeps a result for as long as what the test
// opened is the same, and does not see what the go command opens.
var packages = sync.OnceValues(func() ([]pkg, error) {
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && path != "." && strings.HasPrefix(d.Name(), ".") {
			return fs.SkipDir
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return list("./...")
})

func list(args ...string) ([]pkg, error) {
	out, err := exec.Command("go", append([]string{"list", "-json"}, args...)...).Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return nil, errors.New(string(exit.Stderr))
	} else if err != nil {
		return nil, err
	}
	var all []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
}

// product is every package but the root.
func product(t *testing.T) []pkg {
	t.Helper()
	all, err := packages()
	if err != nil {
		t.Fatal(err)
	}
	ours := slices.DeleteFunc(slices.Clone(all), pkg.isRoot)
	if len(ours) == 0 {
		t.Fatal("no package found")
	}
	return ours
}

// row finds the value of the longest key that fits path.
func row(table map[string][]string, path string) (allowed []string, ok bool) {
	best := ""
	for key := range table {
		fits := path == key || strings.HasSuffix(key, "/") && strings.HasPrefix(path, key)
		if fits && len(key) > len(best) {
			best = key
		}
	}
	return table[best], best != ""
}

// within says whether path is one of the trees or below one.
func within(path string, trees []string) bool {
	return slices.ContainsFunc(trees, func(tree string) bool {
		return path == tree || strings.HasPrefix(path, tree+"/")
	})
}

// forbidden returns the imports of ours that no row allows.
func forbidden(from string, imports []string, tables ...map[string][]string) []string {
	var bad []string
	for _, imported := range imports {
		to, ours := strings.CutPrefix(imported, module)
		allowed := !ours || to == from
		for _, table := range tables {
			trees, _ := row(table, from)
			allowed = allowed || within(to, trees)
		}
		if !allowed {
			bad = append(bad, to)
		}
	}
	return bad
}

func TestImportsFollowTheTable(t *testing.T) {
	for _, p := range product(t) {
		from := p.rel()
		if _, ok := row(mayImport, from); !ok {
			t.Errorf("%s has no place in the architecture: give it a row in mayImport", from)
			continue
		}
		for _, to := range forbidden(from, p.Imports, mayImport) {
			t.Errorf("%s must not import %s", from, to)
		}
		for _, to := range forbidden(from, slices.Concat(p.TestImports, p.XTestImports), mayImport, testsMayImport) {
			t.Errorf("the tests of %s must not import %s", from, to)
		}
	}
}

func TestTheRulesOfTheTable(t *testing.T) {
	tests := map[string]struct {
		from, to string
		allowed  bool
	}{
		"a leaf may import the language":           {"agent/engine", "flow/value", true},
		"a leaf must not import its sibling":       {"agent/engine", "agent/lease", false},
		"a root may import its leaves":             {"agent", "agent/engine", true},
		"the parts do not import each other":       {"agent/engine", "plugins/http", false},
		"the longest key decides":                  {"sdk/redact", "proto", false},
		"a key without a slash is not its subtree": {"sdk/redact/wire", "proto/testmesh/v1", false},
		"a plugin may import a named leaf":         {"plugins/http", "flow/jsonpath", true},
		"a plugin must not import the language":    {"plugins/http", "flow", false},
		"a tree does not allow its namesakes":      {"cmd/testmesh-agent", "agentless", false},
		"the standard library is not ours":         {"flow", "strings", true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			to := test.to
			if to != "strings" {
				to = module + to
			}
			if got := len(forbidden(test.from, []string{to}, mayImport)) == 0; got != test.allowed {
				t.Errorf("%s imports %s: got allowed %v, want %v", test.from, test.to, got, test.allowed)
			}
		})
	}
	if _, ok := row(mayImport, "stray"); ok {
		t.Error("a package outside the table was given a row")
	}
}

// namesThatSayNothing would hold anything, and so come to hold everything.
var namesThatSayNothing = []string{
	"util", "utils", "common", "commons", "helper", "helpers", "base", "manager", "managers",
	"service", "services", "type", "types", "model", "models", "core", "misc", "shared", "lib",
}

func TestPackageNamesSayWhatIsInside(t *testing.T) {
	for _, p := range product(t) {
		for _, element := range append(strings.Split(p.rel(), "/"), p.Name) {
			if slices.Contains(namesThatSayNothing, element) {
				t.Errorf("%s: the name %q says nothing", p.rel(), element)
			}
		}
	}
}

// mayLink names, for each binary, every third-party module that is linked into
// it and what for. It is exact: a library that joins or leaves shows here.
var mayLink = map[string]map[string]string{
	// The engine and the plugins.
	"cmd/testmesh-agent": {
		// The language.
		"go.yaml.in/yaml/v4":                 "flow files, as nodes with positions",
		"github.com/expr-lang/expr":          "lexer and parser of expressions",
		"github.com/go-json-experiment/json": "answers as JSON, token by token, numbers as they are written",
		"github.com/itchyny/gojq":            "the function jq",
		"github.com/itchyny/timefmt-go":      "strftime, for format_time, parse_time and gojq",
		"github.com/antchfx/xmlquery":        "XML answers, and the function xpath",
		"github.com/antchfx/xpath":           "the language of that function",
		"github.com/golang/groupcache":       "xmlquery's cache of expressions",
		"github.com/golang-jwt/jwt/v5":       "the functions jwt_encode and jwt_decode, JWT bearer",
		"github.com/google/uuid":             "ids of runs and batches, version 7",
		"golang.org/x/text":                  "character sets of answers, width of characters on a terminal",

		// HTTP.
		"golang.org/x/net":              "the public suffixes of cookies, character sets of XML",
		"github.com/klauspost/compress": "answers packed with zstd",
		"github.com/andybalholm/brotli": "answers packed with br",
		"github.com/icholy/digest":      "digest authentication",
		"github.com/aws/aws-sdk-go-v2":  "AWS Signature v4",
		"github.com/aws/smithy-go":      "the signer's",
		"google.golang.org/protobuf":    "the records of the wire",

		// GraphQL.
		"github.com/vektah/gqlparser/v2":  "queries and schemas: parser, validation",
		"github.com/agnivade/levenshtein": "did-you-mean of its messages",

		// Redis.
		"github.com/redis/go-redis/v9": "its protocol: the greeting, commands, replies, subscriptions",
		"github.com/cespare/xxhash/v2": "go-redis' hashes of keys, which are not used",
		"go.uber.org/atomic":           "go-redis' counters",

		// gRPC.
		"github.com/bufbuild/protocompile": ".proto files",
		"golang.org/x/sync":                "protocompile's",

		// Kafka.
		"github.com/segmentio/kafka-go":       "requests, record batches, compression, partitioners, SASL",
		"github.com/pierrec/lz4/v4":           "kafka-go's lz4",
		"github.com/xdg-go/scram":             "kafka-go's SCRAM",
		"github.com/xdg-go/pbkdf2":            "scram's",
		"github.com/xdg-go/stringprep":        "scram's",
		"github.com/hamba/avro/v2":            "schemas and primitives of Avro",
		"github.com/go-viper/mapstructure/v2": "avro's",
		"github.com/json-iterator/go":         "avro's",
		"github.com/modern-go/concurrent":     "json-iterator's",
		"github.com/modern-go/reflect2":       "json-iterator's",

		// SQL.
		"github.com/jackc/pgx/v5":        "the protocol of PostgreSQL, without its types",
		"github.com/jackc/pgpassfile":    "pgx's, which is not used",
		"github.com/jackc/pgservicefile": "pgx's, which is not used",
		"github.com/go-sql-driver/mysql": "the protocol of MySQL and MariaDB",
		"filippo.io/edwards25519":        "the driver's, for a login of MariaDB",

		// The command line.
		"github.com/spf13/cobra": "commands, completion, manual pages",
		"github.com/spf13/pflag": "cobra's flags",
		"golang.org/x/sys":       "x/term's; the modes of a terminal",

		// Plugins in processes of their own.
		"golang.org/x/mod":                          "semantic versions of plugins",
		"google.golang.org/grpc":                    "the wire",
		"google.golang.org/genproto/googleapis/rpc": "grpc's status",
		"github.com/hashicorp/go-plugin":            "the handshake with a plugin",
		"github.com/hashicorp/go-hclog":             "go-plugin's log",
		"github.com/hashicorp/yamux":                "go-plugin's multiplexer, which is not used",
		"github.com/oklog/run":                      "go-plugin's goroutines",
		"github.com/golang/protobuf":                "go-plugin's older records",
		"github.com/fatih/color":                    "hclog's colours, which are not used",
		"github.com/mattn/go-colorable":             "the same",
		"github.com/mattn/go-isatty":                "the same",

		// The control plane and its agents.
		"connectrpc.com/connect": "the API",
		"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go": "protovalidate's options",
		"google.golang.org/genproto/googleapis/api":                  "the REST paths of methods",
		"github.com/mattn/go-sqlite3":                                "the state; SQLite as a system under test",
		"github.com/gorilla/websocket":                               "event streams of agents; WebSocket as a system under test",
	},
	// Beyond those: see linksToo.
	"cmd/testmesh": {
		"golang.org/x/term":                       "whether the output is a terminal, and how wide",
		"connectrpc.com/validate":                 "requests that are none are refused",
		"buf.build/go/protovalidate":              "the rules of the messages",
		"cel.dev/cel-go":                          "protovalidate's expressions",
		"cel.dev/expr":                            "cel-go's records",
		"github.com/antlr4-go/antlr/v4":           "cel-go's parser",
		"go.yaml.in/yaml/v3":                      "cel-go's policies, which are not used",
		"golang.org/x/exp":                        "antlr's",
		"github.com/hashicorp/raft":               "one list of commands on all nodes",
		"github.com/hashicorp/raft-wal":           "its log on the disk",
		"github.com/hashicorp/go-metrics":         "raft's figures",
		"github.com/armon/go-metrics":             "raft's older figures",
		"github.com/hashicorp/go-immutable-radix": "go-metrics'",
		"github.com/hashicorp/golang-lru":         "go-immutable-radix'",
		"github.com/hashicorp/go-msgpack/v2":      "raft's messages",
		"github.com/benbjohnson/immutable":        "raft-wal's segments",
		"github.com/coreos/etcd":                  "raft-wal's file locks",
		"github.com/coreos/go-systemd":            "etcd's",
		"github.com/coreos/pkg":                   "etcd's",
		"go.etcd.io/bbolt":                        "raft-wal's list of segments",
		// The API.
		"github.com/grpc-ecosystem/grpc-gateway/v2": "the paths and parameters of REST",
		"connectrpc.com/grpcreflect":                "which methods there are, for grpcurl",
		"connectrpc.com/cors":                       "which headers pages of other origins send",
		// Blobs in a bucket.
		"github.com/minio/minio-go/v7":  "the requests of S3, their signatures and retries",
		"github.com/minio/md5-simd":     "minio-go's MD5",
		"github.com/minio/crc64nvme":    "minio-go's checksums",
		"github.com/klauspost/crc32":    "the same",
		"github.com/klauspost/cpuid/v2": "what the processor can do for them",
		"github.com/zeebo/xxh3":         "the same",
		"github.com/rs/xid":             "minio-go's ids",
		"golang.org/x/crypto":           "minio-go's keys of encrypted objects, which are not used",
		"github.com/tinylib/msgp":       "minio-go's cache of regions, which is not used",
		"github.com/philhofer/fwd":      "msgp's",
		"github.com/dustin/go-humanize": "minio-go's sizes in words",
		"gopkg.in/ini.v1":               "minio-go's files of credentials, which are not used",
	},
	"cmd/testmesh-plugin-xml": {
		"golang.org/x/text": "character sets of documents",

		"google.golang.org/protobuf":                "the records of the wire",
		"google.golang.org/grpc":                    "the wire",
		"google.golang.org/genproto/googleapis/rpc": "grpc's status",
		"golang.org/x/net":                          "grpc's HTTP/2",
		"golang.org/x/sys":                          "grpc's",
		"github.com/hashicorp/go-plugin":            "the handshake with a host",
		"github.com/hashicorp/go-hclog":             "go-plugin's log",
		"github.com/hashicorp/yamux":                "go-plugin's multiplexer, which is not used",
		"github.com/oklog/run":                      "go-plugin's goroutines",
		"github.com/golang/protobuf":                "go-plugin's older records",
		"github.com/fatih/color":                    "hclog's colours, which are not used",
		"github.com/mattn/go-colorable":             "the same",
		"github.com/mattn/go-isatty":                "the same",
	},
}

// linksToo names a binary whose whole row another one links as well.
var linksToo = map[string]string{"cmd/testmesh": "cmd/testmesh-agent"}

func TestBinariesLinkOnlyWhatIsListed(t *testing.T) {
	for _, p := range product(t) {
		if p.Name != "main" || !strings.HasPrefix(p.rel(), "cmd/") {
			continue
		}
		own, ok := mayLink[p.rel()]
		if !ok {
			t.Errorf("%s is a binary without a row in mayLink", p.rel())
			continue
		}
		want := maps.Clone(own)
		maps.Copy(want, mayLink[linksToo[p.rel()]])
		deps, err := list("-deps", "./"+p.rel())
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]bool{}
		for _, dep := range deps {
			if dep.Module != nil && dep.Module.Path != strings.TrimSuffix(module, "/") {
				got[dep.Module.Path] = true
			}
		}
		for _, linked := range slices.Sorted(maps.Keys(got)) {
			if want[linked] == "" {
				t.Errorf("%s links %s, which mayLink does not give a reason for", p.rel(), linked)
			}
		}
		for _, listed := range slices.Sorted(maps.Keys(want)) {
			if !got[listed] {
				t.Errorf("%s does not link %s: take it out of mayLink", p.rel(), listed)
			}
		}
	}
}

// What `testmesh run` starts with is part of the time of every run; gRPC would be
// a fifth of it.
func TestTheSlimProgramLinksNoGRPC(t *testing.T) {
	deps, err := list("-e", "-deps", "-tags", "slim", "./cmd/testmesh")
	if err != nil {
		t.Fatal(err)
	}
	linked := map[string]bool{}
	for _, dep := range deps {
		if dep.Module != nil {
			linked[dep.Module.Path] = true
		}
	}
	if !linked["github.com/klauspost/compress"] {
		t.Fatal("the slim program was not listed")
	}
	for _, heavy := range []string{"google.golang.org/grpc", "github.com/hashicorp/go-plugin", "github.com/gorilla/websocket"} {
		if linked[heavy] {
			t.Errorf("the slim program links %s", heavy)
		}
	}
}
