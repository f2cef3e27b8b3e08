import type { FC } from 'hono/jsx'
import { BOOK_COLUMNS, type ImportReport } from '../../domain/book-import.ts'
import { count } from '../format.ts'

export const ImportPage: FC<{ report?: ImportReport }> = ({ report }) => (
  <>
    <div class="head">
      <h1>Import a book of business</h1>
    </div>
    {report && (
      <div class="card">
        <b>
          {count(report.policies)} policies, {count(report.commissions)} commissions and {count(report.clients)} clients
          written.
        </b>{' '}
        {report.known > 0 && `${count(report.known)} policies were here already and stayed as they are.`}
      </div>
    )}
    <div class="card">
      <p>
        A CSV file whose first line names these columns, in any order. All of it is taken, or nothing; the same file
        again changes nothing.
      </p>
      <pre>{BOOK_COLUMNS.join(', ')}</pre>
      <form method="post" action="/import" enctype="multipart/form-data" class="inline">
        <input type="file" name="book" accept=".csv,text/csv" aria-label="Book of business" required />
        <button type="submit" class="main">
          Import
        </button>
      </form>
    </div>
  </>
)
