package jobs

import (
	"cmp"
	"time"

	"radial/aaa"
	"radial/store"
)

// periodic is the list of all periodic work, one line each: what, how often,
// and the function that does it. One server, elected in the database, enqueues
// them; whichever is free does them; while one is queued or under way, the next
// is not enqueued.
func periodic(db *store.DB, opts Options) []work {
	return []work{
		every(time.Minute, aaa.ExpireOffers{Batch: 5000}, expireOffers(db)),
		every(time.Minute, aaa.ExpireAdmissions{Batch: 5000}, expireAdmissions(db)),
		every(time.Minute, aaa.ReleaseEnded{Batch: 2000}, releaseEnded(db)),
		every(time.Minute, aaa.CloseStale{Batch: 500}, closeStale(db, opts.Stale, opts.witness(db))),
		every(time.Minute, aaa.FoldUsage{Batch: 500}, foldUsage(db)),
		every(time.Minute, aaa.BackfillUsage{Batch: 1000}, backfillUsage(db)),
		every(10*time.Minute, aaa.RollUsage{Batch: 500}, rollUsage(db)),
		every(time.Minute, aaa.ReserveStatic{}, reserveStatic(db)),
		every(time.Hour, aaa.RefreshStatic{}, refreshStatic(db)),
		every(time.Hour, aaa.RefreshMirror{Batch: 5000}, refreshMirror(db)),
		every(time.Minute, aaa.LookAtQuotas{Batch: 1000}, lookAtQuotas(db, opts.Warden)),
		every(cmp.Or(opts.Reconcile.Every, DefaultReconcile), aaa.ReconcileSessions{}, reconcile(db, opts.Reconcile)),
		every(time.Minute, aaa.ExpireSubscribers{Batch: 500}, expireSubscribers(db, opts.Rules)),
		every(time.Hour, aaa.SyncSubscribers{Batch: 500}, syncSubscribers(db, opts.Rules)),
		every(10*time.Minute, aaa.TendGardens{Batch: 500}, tendGardens(db, opts.Rules)),
		every(10*time.Minute, aaa.TidyControl{Batch: 1000}, tidyControl(db)),
		every(time.Minute, aaa.EndCooling{Batch: 5000}, endCooling(db)),
		every(time.Hour, aaa.DropIdlePrefixes{Batch: 5000, Days: 90}, dropIdlePrefixes(db)),
		every(24*time.Hour, aaa.DropConflicts{Batch: 5000}, dropConflicts(db, opts.ConflictRetention, time.Now)),
		every(time.Hour, aaa.TendHistory{Batch: 5000}, tendHistory(db, opts.HistoryRetention, time.Now)),
		every(time.Hour, aaa.ArchiveSessions{Batch: 1000}, archiveSessions(db, opts.Archive, time.Now)),
		every(24*time.Hour, aaa.MergeUsage{Batch: 500}, mergeUsage(db, opts.UsageRetention, time.Now)),
		every(15*time.Minute, aaa.CheckRouters{}, checkRouters(db, opts.Routers, time.Now)),
		every(15*time.Minute, aaa.ReconcileRouters{}, reconcileSessions(db, opts.reconciler(db))),
	}
}

// Periodic is the periodic job of a kind, with the arguments that it has; nil
// where there is none. kinds are those that there are.
func Periodic(kind string) (job aaa.Job, kinds []string) {
	for _, w := range periodic(nil, Options{}) {
		if kinds = append(kinds, w.kind); w.kind == kind {
			job = w.args
		}
	}
	return job, kinds
}
