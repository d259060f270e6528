import { useQuery } from "@tanstack/react-query";
import { flows } from "../../lib/api";

const refresh = 10_000;

// useRevisions are the revisions of a flow that are kept, the newest first.
export function useRevisions(file: string, index: number) {
  const { data, error, isPending } = useQuery({
    queryKey: ["flow-revisions", file, index],
    queryFn: () => flows.listRevisions({ file, index, pageSize: 100 }),
    refetchInterval: refresh,
  });
  return { list: data?.revisions ?? [], error, isPending };
}
