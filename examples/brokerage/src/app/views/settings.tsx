import type { FC } from 'hono/jsx'

interface Props {
  readonly host: string
  readonly proof: { readonly name: string; readonly value: string } | undefined
  readonly connected: boolean
}

export const SettingsPage: FC<Props> = ({ host, proof, connected }) => (
  <>
    <div class="head">
      <h1>Settings</h1>
    </div>
    <div class="card">
      <h2>Your own domain</h2>
      {connected && (
        <p>
          <b>{host}</b> leads to your system.
        </p>
      )}
      <form method="get" class="inline">
        <input name="domain" value={host} placeholder="portal.your-name.example" aria-label="Domain" required />
        <button type="submit">Show the proof</button>
      </form>
      {proof !== undefined && !connected && (
        <>
          <p>Write this TXT record into DNS, then connect:</p>
          <pre>
            {proof.name} TXT "{proof.value}"
          </pre>
          <form method="post" action="/settings/domain">
            <button type="submit" name="domain" value={host} class="main">
              Connect
            </button>
          </form>
        </>
      )}
    </div>
  </>
)
