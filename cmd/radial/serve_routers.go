package main

import (
	"context"

	"go.uber.org/zap"

	"radial/store"
)

// routerBook says how routers are reached. With a key that is not the one of
// the secrets in the database the server runs all the same: logins do not need
// routers' passwords.
func (m *machine) routerBook(ctx context.Context) (*store.RouterBook, error) {
	sealer, fingerprint, err := newSealer(m.config.DataDir)
	if err != nil {
		return nil, withoutAccess(m.config, err)
	}
	if !m.away {
		if err := checkKey(ctx, m.db, fingerprint); err != nil {
			m.log.Named("routers").Error("routers cannot be logged in to from here", zap.Error(err))
		}
	}
	return &store.RouterBook{DB: m.db, Sealer: sealer, Timeout: m.config.Routers.Timeout}, nil
}
