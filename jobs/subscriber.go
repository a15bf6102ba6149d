package jobs

import (
	"context"

	"radial/aaa"
	"radial/store"
)

// subscribers is where the states of subscribers are kept true (store.DB).
type subscribers interface {
	ExpireSubscribers(ctx context.Context, batch int, rule store.SubscriberRule) (n int, err error)
	SyncSubscribers(ctx context.Context, c store.Change, batch int, rule store.SubscriberRule, told func(string, aaa.AccountDelta)) (n int, err error)
	TendGardens(ctx context.Context, batch int, user store.SubscriberRule, pkg func(aaa.PackageState) (aaa.PackageDelta, error)) (n int, err error)
}

// expireSubscribers needs the rules of provisioning; without them, as in tests
// of other work, it does nothing.
func expireSubscribers(db subscribers, rules *aaa.Provisioner) func(context.Context, aaa.ExpireSubscribers) error {
	return func(ctx context.Context, job aaa.ExpireSubscribers) error {
		if rules == nil {
			return nil
		}
		_, err := db.ExpireSubscribers(ctx, job.Batch, rules.ExpireSubscriber)
		return err
	}
}

func tendGardens(db subscribers, rules *aaa.Provisioner) func(context.Context, aaa.TendGardens) error {
	return func(ctx context.Context, job aaa.TendGardens) error {
		if rules == nil {
			return nil
		}
		_, err := db.TendGardens(ctx, job.Batch, rules.SyncSubscriber(false), rules.SyncPackage(false))
		return err
	}
}

func syncSubscribers(db subscribers, rules *aaa.Provisioner) func(context.Context, aaa.SyncSubscribers) error {
	return func(ctx context.Context, job aaa.SyncSubscribers) error {
		if rules == nil {
			return nil
		}
		by := store.Change{Actor: "job:sync_subscribers", Action: "user.sync"}
		_, err := db.SyncSubscribers(ctx, by, job.Batch, rules.SyncSubscriber(false), func(string, aaa.AccountDelta) {})
		return err
	}
}
