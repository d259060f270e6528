import { type MouseEvent, useEffect, useState } from "react";
import { copyText } from "../lib/copy-text";
import { Button } from "./button";
import { Icon } from "./icon";

// CopyButton copies a text, made when it is wanted, and says that it did, or that the
// browser did not let it.
export function CopyButton({ text, children, label }: { text: () => string; children?: string; label?: string }) {
  const [said, setSaid] = useState<"" | "Copied" | "Not allowed">("");
  useEffect(() => {
    if (said === "") return;
    const timer = setTimeout(() => setSaid(""), 1_600);
    return () => clearTimeout(timer);
  }, [said]);
  const copy = async (event: MouseEvent<HTMLButtonElement>) => {
    setSaid((await copyText(text(), event.currentTarget)) ? "Copied" : "Not allowed");
  };
  return (
    <Button kind="quiet" onClick={(event) => void copy(event)} aria-label={label ?? children} title={label}>
      <Icon name={said === "Copied" ? "check" : "copy"} />
      {said || children}
      <span role="status" className="sr-only">
        {said}
      </span>
    </Button>
  );
}
