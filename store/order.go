package store

const sqlOrderDelete = `DELETE FROM radial.orders WHERE username = $1::text`
