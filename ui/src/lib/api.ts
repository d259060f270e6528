import { Code, ConnectError, createClient, type Interceptor } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-web";
import { AgentService, ClusterService, EnvironmentService, FlowService, LogService, RunService } from "../gen/testmesh/api/v1/api_pb";
import { sessionKey, signOut } from "./session";

// authorize sends the key of the session, and notices when the server wants another.
const authorize: Interceptor = (next) => async (req) => {
  const key = sessionKey();
  if (key !== "") req.header.set("Authorization", `Bearer ${key}`);
  try {
    return await next(req);
  } catch (err) {
    const known = ConnectError.from(err);
    if (known.code === Code.Unauthenticated) signOut(key === "" ? "" : "This key is not known here.");
    throw known;
  }
};

const transport = createConnectTransport({
  baseUrl: globalThis.location?.origin ?? "http://localhost",
  interceptors: [authorize],
  useBinaryFormat: true,
});

export const agents = createClient(AgentService, transport);
export const cluster = createClient(ClusterService, transport);
export const environments = createClient(EnvironmentService, transport);
export const flows = createClient(FlowService, transport);
export const logs = createClient(LogService, transport);
export const runs = createClient(RunService, transport);

// fetchBlob reads a stored content. It goes with the key, which a link could not carry.
export async function fetchBlob(sha256: string): Promise<Blob> {
  const key = sessionKey();
  const res = await fetch(`/api/v1/blobs/${sha256}`, { headers: key === "" ? {} : { Authorization: `Bearer ${key}` } });
  if (!res.ok) throw new Error(res.status === 404 ? "This file is not kept any more." : `The file could not be read (${res.status}).`);
  return res.blob();
}
