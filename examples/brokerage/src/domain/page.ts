/** Rows of one page of a list. */
export const PAGE_SIZE = 25

/** Pages beyond this would make the database walk ten thousand rows to show 25: search instead. */
export const MAX_PAGE = 400
