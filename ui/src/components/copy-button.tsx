import { useEffect, useState } from "react";
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
  const copy = () => {
    navigator.clipboard.writeText(text()).then(
      () => setSaid("Copied"),
      () => setSaid("Not allowed"),
    );
  };
  return (
    <Button kind="quiet" onClick={copy} aria-label={label ?? children} title={label}>
      <Icon name={said === "Copied" ? "check" : "copy"} />
      {said || children}
      <span role="status" className="sr-only">
        {said}
      </span>
    </Button>
  );
}
