package store

// Forget has the next reckoning of days read anew.
func (db *DB) Forget() { db.reckoning.Store(nil) }
