"""The room's pages: checkout, invoices, cards, and the processor's webhook."""
