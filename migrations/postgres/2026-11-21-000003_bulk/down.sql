DROP TABLE mail_paces;
DROP TABLE campaign_recipients;
DROP TABLE campaigns;
DROP TABLE cohort_before;
DROP TABLE cohort_people;
DROP TABLE cohort_jobs;
