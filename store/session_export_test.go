package store

// SQLAcctLock finds the sessions of a batch.
const SQLAcctLock = sqlAcctLock

// SessionStatements are the statements about sessions, by name, for EXPLAIN.
func SessionStatements() map[string]string {
	return map[string]string{
		"open": sqlSessionsOpen, "open of a user": sqlSessionsOpenOfUser, "named": sqlSessionsNamed, "named of a user": sqlSessionsOfUserNamed,
		"named since": sqlSessionsSinceNamed, "of a user": sqlSessionsOfUser,
		"open, habits": sqlStaleHabits, "open, silent": sqlStaleNote, "lost": sqlStaleClose, "over": sqlStaleForget,
		"open by nas": sqlTotalsNAS, "open by package": sqlTotalsPackage, "by nas": sqlTotalsNASFrom, "by package": sqlTotalsPackageFrom,
	}
}
