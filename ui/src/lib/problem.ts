import { Code, ConnectError } from "@connectrpc/connect";

// Problem is an error as a person reads it: what is the matter, and what to do.
export interface Problem {
  title: string;
  hint: string;
  requestId: string;
}

const hints: Partial<Record<Code, string>> = {
  [Code.Unavailable]: "This is tried again by itself.",
  [Code.NotFound]: "It may have been deleted, or the address is not whole.",
  [Code.PermissionDenied]: "Your key does not allow this.",
  [Code.Unauthenticated]: "Sign in with the administrator's key.",
  [Code.DeadlineExceeded]: "The server took too long: try again.",
};

// mayPass says whether the same question may have another answer in a moment.
export function mayPass(err: unknown): boolean {
  const passing = [Code.Unavailable, Code.DeadlineExceeded, Code.Aborted, Code.Unknown, Code.ResourceExhausted];
  return !(err instanceof ConnectError) || passing.includes(err.code);
}

export function problemOf(err: unknown): Problem {
  if (err instanceof ConnectError) {
    const requestId = err.metadata.get("x-request-id") ?? "";
    if (err.code === Code.Unknown || (err.code === Code.Unavailable && err.rawMessage === "")) return offline();
    return { title: sentence(err.rawMessage), hint: hints[err.code] ?? "", requestId };
  }
  if (err instanceof TypeError) return offline(); // fetch has no other error for a server that is not there
  return { title: sentence(err instanceof Error ? err.message : String(err)), hint: "", requestId: "" };
}

function offline(): Problem {
  return { title: "The control plane does not answer.", hint: "This is tried again by itself.", requestId: "" };
}

function sentence(text: string): string {
  const whole = text.trim();
  if (whole === "") return "Something went wrong.";
  const first = whole.charAt(0).toUpperCase() + whole.slice(1);
  return /[.!?]$/.test(first) ? first : `${first}.`;
}
