import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Button } from "../../components/button";
import { useNow } from "../../components/clock";
import { Panel } from "../../components/panel";
import type { JoinToken } from "../../gen/testmesh/api/v1/record_pb";
import { agents } from "../../lib/api";
import { duration, millis, plural } from "../../lib/format";
import { problemOf } from "../../lib/problem";

const refresh = 5_000;

// TokensPanel are the join tokens that still let somebody in; without one it is not there.
export function TokensPanel() {
  const now = useNow();
  const cache = useQueryClient();
  const { data } = useQuery({ queryKey: ["tokens"], queryFn: () => agents.listJoinTokens({}), refetchInterval: refresh });
  const revoke = useMutation({
    mutationFn: (id: string) => agents.revokeJoinToken({ id }),
    onSettled: () => cache.invalidateQueries({ queryKey: ["tokens"] }),
  });
  const open = data?.tokens.filter((token) => !token.revoked && token.used < token.uses && millis(token.expires) > now) ?? [];
  if (open.length === 0) return null;
  return (
    <Panel title="Open join tokens">
      {revoke.error !== null && (
        <p role="alert" className="px-3 pt-2 text-failed-text">
          {problemOf(revoke.error).title}
        </p>
      )}
      <ul aria-label="Open join tokens">
        {open.map((token) => (
          <li key={token.id} className="flex min-h-9 flex-wrap items-center gap-x-3 gap-y-1 border-line border-b px-3 py-1 last:border-b-0">
            <span className="font-medium">{pins(token)}</span>
            <span className="text-text-2">
              {plural(token.uses - token.used, "agent")} may join, for another {duration(millis(token.expires) - now)}
            </span>
            <Button
              kind="danger"
              className="ml-auto"
              disabled={revoke.isPending}
              onClick={() => revoke.mutate(token.id)}
              aria-label={`Revoke the token for ${pins(token)}`}
            >
              Revoke
            </Button>
          </li>
        ))}
      </ul>
    </Panel>
  );
}

function pins(token: JoinToken): string {
  const list = Object.entries(token.pins).map(([name, value]) => `${name}=${value}`);
  return list.length === 0 ? "no labels" : list.join(" ");
}
