package check

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"hash"
)

// decryptKey returns a private key in PEM without its password. Keys that OpenSSL 1.1 and
// later encrypts are PKCS #8 with PBES2 (RFC 5958, RFC 8018).
func decryptKey(text []byte, password string) ([]byte, error) {
	block, _ := pem.Decode(text)
	switch {
	case block == nil:
		return nil, errors.New("the file holds no key in PEM")
	case block.Headers["DEK-Info"] != "":
		return nil, errors.New(`the key is encrypted in the way of before PKCS #8; "openssl pkcs8 -topk8" makes another of it`)
	case block.Type != "ENCRYPTED PRIVATE KEY":
		return text, nil
	case password == "":
		return nil, errors.New("the key is encrypted: expected password in the block SSL")
	}
	plain, err := decryptPKCS8(block.Bytes, []byte(password))
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: plain}), nil
}

// encryptedKey is EncryptedPrivateKeyInfo (RFC 5958).
type encryptedKey struct {
	Algorithm struct {
		ID     asn1.ObjectIdentifier
		Params struct{ Derivation, Cipher pkix.AlgorithmIdentifier }
	}
	Data []byte
}

// derivation is PBKDF2-params (RFC 8018).
type derivation struct {
	Salt   []byte
	Rounds int
	Length int                      `asn1:"optional"`
	Hash   pkix.AlgorithmIdentifier `asn1:"optional"`
}

// The object identifiers of what OpenSSL uses.
const (
	oidPBES2  = "1.2.840.113549.1.5.13"
	oidPBKDF2 = "1.2.840.113549.1.5.12"
)

var keyHashes = map[string]func() hash.Hash{
	"":                    sha1.New,
	"1.2.840.113549.2.7":  sha1.New,
	"1.2.840.113549.2.9":  sha256.New,
	"1.2.840.113549.2.11": sha512.New,
}

// keyCiphers are block ciphers in CBC mode, and the length of their keys in bytes.
var keyCiphers = map[string]struct {
	length int
	make   func(key []byte) (cipher.Block, error)
}{
	"2.16.840.1.101.3.4.1.2":  {16, aes.NewCipher},
	"2.16.840.1.101.3.4.1.22": {24, aes.NewCipher},
	"2.16.840.1.101.3.4.1.42": {32, aes.NewCipher},
	"1.2.840.113549.3.7":      {24, des.NewTripleDESCipher},
}

func decryptPKCS8(der, password []byte) ([]byte, error) {
	var key encryptedKey
	if _, err := asn1.Unmarshal(der, &key); err != nil || key.Algorithm.ID.String() != oidPBES2 {
		return nil, errors.New("the key is encrypted by another way than PBES2")
	}
	params := key.Algorithm.Params
	var d derivation
	if _, err := asn1.Unmarshal(params.Derivation.Parameters.FullBytes, &d); err != nil || params.Derivation.Algorithm.String() != oidPBKDF2 {
		return nil, errors.New("the key's password is derived by another way than PBKDF2")
	}
	sum, known := keyHashes[d.Hash.Algorithm.String()]
	mode, also := keyCiphers[params.Cipher.Algorithm.String()]
	if !known || !also {
		return nil, fmt.Errorf("the key is encrypted by an unknown hash or cipher: %s, %s", d.Hash.Algorithm, params.Cipher.Algorithm)
	}
	secret, err := pbkdf2.Key(sum, string(password), d.Salt, d.Rounds, mode.length)
	if err != nil {
		return nil, err
	}
	block, err := mode.make(secret)
	if err != nil {
		return nil, err
	}
	iv := params.Cipher.Parameters.Bytes
	if len(iv) != block.BlockSize() || len(key.Data) == 0 || len(key.Data)%block.BlockSize() != 0 {
		return nil, errors.New("the encrypted key is cut off")
	}
	plain := make([]byte, len(key.Data))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, key.Data)
	pad := int(plain[len(plain)-1])
	if pad == 0 || pad > block.BlockSize() {
		return nil, errors.New("the password does not fit the key")
	}
	return plain[:len(plain)-pad], nil
}
