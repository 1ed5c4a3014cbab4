CREATE TABLE vpm_recipient_access (address text PRIMARY KEY, action text NOT NULL);
INSERT INTO vpm_recipient_access VALUES
    ('closed@localhost', 'REJECT this mailbox is closed'),
    ('full@localhost', '450 4.2.1 over quota, try tomorrow');
