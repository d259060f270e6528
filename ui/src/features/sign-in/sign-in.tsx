import { type FormEvent, useState } from "react";
import { Button } from "../../components/button";
import { signIn } from "../../lib/session";

// SignIn lies over the page until the server knows the key; what was typed below it stays.
export function SignIn({ why }: { why: string }) {
  const [key, setKey] = useState("");
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (key.trim() !== "") signIn(key.trim());
  };
  return (
    <dialog
      ref={(dialog) => {
        if (dialog !== null && !dialog.open) dialog.showModal();
      }}
      onCancel={(event) => event.preventDefault()}
      aria-labelledby="sign-in"
      className="m-auto w-[calc(100vw-24px)] max-w-sm rounded-md border border-line bg-raised p-5 text-text shadow-overlay"
    >
      <form onSubmit={submit} className="flex flex-col gap-3">
        <h1 id="sign-in" className="flex items-center gap-2 text-lg font-semibold">
          <img src="/icon.svg" alt="" className="size-6" /> Sign in to TestMesh
        </h1>
        <label className="flex flex-col gap-1">
          The administrator's key
          <input
            type="password"
            autoComplete="current-password"
            value={key}
            onChange={(event) => setKey(event.target.value)}
            placeholder="tma_…"
            aria-invalid={why !== ""}
            aria-describedby="sign-in-help"
            className="h-8 rounded-sm border border-control bg-bg px-2"
          />
        </label>
        {why !== "" && (
          <p role="alert" className="text-failed-text">
            {why}
          </p>
        )}
        <p id="sign-in-help" className="text-text-2">
          The server printed it at its first start, and keeps it in its data directory. It stays in this tab until the tab is closed.
        </p>
        <Button kind="primary" type="submit" disabled={key.trim() === ""}>
          Sign in
        </Button>
      </form>
    </dialog>
  );
}
