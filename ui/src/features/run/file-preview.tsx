import { useQuery } from "@tanstack/react-query";
import { useEffect, useMemo } from "react";
import { Loading, Notice } from "../../components/notice";
import type { StoredFile } from "../../lib/events";
import { problemOf } from "../../lib/problem";
import { BodyView } from "./body-view";

// mostPreviewed is how much of a file is loaded to look at it: more is saved, and opened
// with what is made for it.
const mostPreviewed = 4 << 20;

const pictures = new Set(["image/png", "image/jpeg", "image/gif", "image/webp"]);

// kindOf is how a file may be looked at: as a picture, which no script can be in, or as
// text; "": it is saved alone.
export function kindOf(file: StoredFile): "picture" | "text" | "" {
  const type = (file.media_type ?? "").split(";")[0]?.trim().toLowerCase() ?? "";
  if (file.size > mostPreviewed) return "";
  if (pictures.has(type)) return "picture";
  return /^text\/|[/+](json|yaml|x-ndjson)$|^application\/xml$/.test(type) ? "text" : "";
}

// FilePreview shows a stored file as data: markup in it is text.
export function FilePreview({ file, load }: { file: StoredFile; load: () => Promise<Blob> }) {
  const kind = kindOf(file);
  const content = useQuery({
    queryKey: ["file", file.sha256, kind],
    queryFn: async () => (kind === "text" ? await (await load()).text() : await load()),
    staleTime: Number.POSITIVE_INFINITY,
  });
  if (content.error !== null) return <Notice problem={problemOf(content.error)} />;
  if (content.data === undefined) return <Loading what={file.name} />;
  return typeof content.data === "string" ? <BodyView body={content.data} name={file.name} /> : <Picture blob={content.data} name={file.name} />;
}

function Picture({ blob, name }: { blob: Blob; name: string }) {
  const address = useMemo(() => URL.createObjectURL(blob), [blob]);
  useEffect(() => () => URL.revokeObjectURL(address), [address]);
  return <img src={address} alt={name} className="max-h-[70dvh] max-w-full rounded-sm border border-line" />;
}
