// What to type so that an agent joins, as docs/install.md has it: by the program alone, as
// a service, in a container, beside a service.

export interface JoinStep {
  title: string;
  text: string;
}

export interface JoinWay {
  id: string;
  label: string;
  steps: JoinStep[];
  says: string;
}

export interface Joining {
  server: string;
  token: string;
  version: string;
}

// What compose.yaml and sidecar.yaml of the packages have where the address belongs.
export const composeServer = "http://server:7070";
export const sidecarServer = "https://mesh.example.com";

export function joinWays({ server, token, version }: Joining): JoinWay[] {
  return [
    {
      id: "shell",
      label: "Shell",
      steps: [{ title: "On the agent's machine", text: `testmesh agent --server ${server} --token ${token} --data testmesh-agent` }],
      says: "It runs until Ctrl-C, which drains it. From then on it knows its own key: the same command without the token starts it again.",
    },
    {
      id: "systemd",
      label: "systemd",
      steps: [
        { title: "With the package", text: `sudo apt install ./testmesh-agent_${version}_amd64.deb` },
        { title: "Then, or with the program alone", text: `sudo testmesh-agent install --server ${server} --token ${token}` },
      ],
      says: "install writes the unit, the settings and the token, starts the service and waits until it works. With --dry-run it says what it would do.",
    },
    {
      id: "container",
      label: "Container",
      steps: [
        {
          title: "With the image of agent.Dockerfile",
          text: [
            "docker run -d --name testmesh-agent --restart on-failure --stop-timeout 960 \\",
            "    -v testmesh-agent:/var/lib/testmesh-agent \\",
            `    -e TESTMESH_SERVER=${server} \\`,
            `    -e TESTMESH_JOIN_TOKEN=${token} \\`,
            `    testmesh-agent:${version}`,
          ].join("\n"),
        },
      ],
      says: "Its key is in the volume: keep it, and the container may be made anew without a token.",
    },
    {
      id: "compose",
      label: "Compose",
      steps: [
        { title: "The token, beside compose.yaml", text: `printf %s ${token} > join-token` },
        {
          title: "The agent beside your service",
          text: [`sed 's#${composeServer}#${server}#' compose.yaml |`, `    TESTMESH_VERSION=${version} docker compose -f - up -d agent`].join(
            " \\\n",
          ),
        },
      ],
      says: `It shares the network of the service, and reaches it by localhost. compose.yaml, of testmesh-deploy_${version}.tar.gz, has a place for it.`,
    },
    {
      id: "kubernetes",
      label: "Kubernetes",
      steps: [
        { title: "The token", text: `kubectl create secret generic testmesh-join-token --from-literal=token=${token}` },
        {
          title: "The service with the agent beside it",
          text: [
            `sed 's#${sidecarServer}#${server}#; s#testmesh-agent:VERSION#testmesh-agent:${version}#' sidecar.yaml |`,
            "    kubectl apply -f -",
          ].join(" \\\n"),
        },
      ],
      says: `A pod is a new agent each time: make the token for more than one. sidecar.yaml is in testmesh-deploy_${version}.tar.gz, and needs Kubernetes 1.29.`,
    },
  ];
}

// isLoopback says whether an address leads every other machine to itself.
export function isLoopback(address: string): boolean {
  try {
    return /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(new URL(address).hostname);
  } catch {
    return false;
  }
}

export function checkAddress(address: string): string {
  try {
    const url = new URL(address);
    if (url.protocol !== "http:" && url.protocol !== "https:") return "An address begins with https:// or http://.";
    return url.pathname === "/" && url.search === "" && url.hash === "" && url.username === ""
      ? ""
      : "An address is a name and a port, and nothing after them.";
  } catch {
    return `“${address}” is no address: write https://mesh.example.com.`;
  }
}
